package scenario

// cloudStep queues one AWS call of an attacker in the name of r.user, or with
// a role's name in s2.
func cloudStep(s *Scenario, r *running, c *apiCall) {
	it := event(cloudCall, r.host, r.user)
	it.call, it.ip, it.n = c, r.ip, uint64(s.r.below(100000))
	it.s1 = "aws-cli/2.31.0 md/awscrt#0.27.6 ua/2.1 os/linux#6.12"
	s.put(&it)
}

// oktaStep queues one Okta event about r.user.
func oktaStep(s *Scenario, r *running, actor int32, c *apiCall) {
	it := event(oktaEvent, r.host, actor)
	it.call, it.ip, it.s1 = c, r.ip, agents[0]
	s.put(&it)
}

var (
	callConsole     = apiCall{source: "signin.amazonaws.com", name: "ConsoleLogin", response: `{"ConsoleLogin":"Success"}`, console: true}
	callForeignKey  = apiCall{source: "iam.amazonaws.com", name: "CreateAccessKey", request: `{"userName":"deploy"}`, response: `{"accessKey":{"userName":"deploy","accessKeyId":"AKIAEXAMPLE%x","status":"Active"}}`}
	callAttach      = apiCall{source: "iam.amazonaws.com", name: "AttachUserPolicy", request: `{"userName":"deploy","policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}`}
	callStopTrail   = apiCall{source: "cloudtrail.amazonaws.com", name: "StopLogging", request: `{"name":"arn:aws:cloudtrail:eu-central-1:%a:trail/main"}`}
	callTake        = apiCall{source: "s3.amazonaws.com", name: "GetObject", request: `{"bucketName":"example-customers","key":"export/part-%n.parquet"}`, read: true, data: true}
	callShareVolume = apiCall{source: "ec2.amazonaws.com", name: "ModifySnapshotAttribute", request: `{"snapshotId":"snap-0%x","createVolumePermission":{"add":{"items":[{"userId":"444455556666"}]}},"attributeType":"CREATE_VOLUME_PERMISSION"}`, response: `{"_return":true}`}
)

var enumeration = [...]apiCall{
	{source: "sts.amazonaws.com", name: "GetCallerIdentity", read: true},
	{source: "iam.amazonaws.com", name: "ListUsers", read: true},
	{source: "iam.amazonaws.com", name: "ListRoles", failure: "AccessDenied", read: true},
	{source: "iam.amazonaws.com", name: "ListAttachedUserPolicies", request: `{"userName":"deploy"}`, read: true},
	{source: "s3.amazonaws.com", name: "ListBuckets", read: true},
	{source: "ec2.amazonaws.com", name: "DescribeSnapshots", request: `{"ownersSet":{"items":[{"owner":"self"}]}}`, read: true},
	{source: "secretsmanager.amazonaws.com", name: "ListSecrets", failure: "AccessDenied", read: true},
	{source: "organizations.amazonaws.com", name: "DescribeOrganization", failure: "AccessDenied", read: true},
	{source: "rds.amazonaws.com", name: "DescribeDBInstances", read: true},
	{source: "kms.amazonaws.com", name: "ListKeys", failure: "AccessDenied", read: true},
}

var awsKeyLeak = attack{
	name:   "aws-key-leak",
	about:  "A leaked access key is tried from outside; it lists the account, gains rights, stops the trail, and takes data",
	length: 120,
	stages: []stage{
		{name: "enumeration", technique: "T1580", repeat: 2 * len(enumeration), every: seconds(1, 15), do: func(s *Scenario, r *running) {
			cloudStep(s, r, &enumeration[r.round%len(enumeration)])
		}},
		{name: "key for another user", technique: "T1098.001", repeat: 1, after: minutes(3, 12), do: func(s *Scenario, r *running) {
			cloudStep(s, r, &callForeignKey)
		}},
		{name: "rights attached", technique: "T1098.003", repeat: 1, after: minutes(1, 4), do: func(s *Scenario, r *running) {
			cloudStep(s, r, &callAttach)
		}},
		{name: "trail stopped", technique: "T1685.002", repeat: 1, after: minutes(1, 6), do: func(s *Scenario, r *running) {
			cloudStep(s, r, &callStopTrail)
		}},
		{name: "objects taken", technique: "T1530", repeat: 150, after: minutes(2, 10), every: [2]int64{200, 3000}, do: func(s *Scenario, r *running) {
			cloudStep(s, r, &callTake)
		}},
		{name: "snapshot shared", technique: "T1537", repeat: 1, after: minutes(2, 10), do: func(s *Scenario, r *running) {
			cloudStep(s, r, &callShareVolume)
		}},
	},
}

var passwordSpray = attack{
	name:   "password-spray-cloud",
	about:  "One password is tried with many people's names; whoever has it loses their cloud account",
	length: 120,
	stages: []stage{
		{name: "password spray", technique: "T1110.003", repeat: 40, every: seconds(5, 25), do: func(s *Scenario, r *running) {
			// Everyone is tried but the one who will fall, several times
			// when there are few.
			n := int32(len(s.fleet.users))
			oktaStep(s, r, (r.user+1+int32(r.round)%(n-1))%n, &oktaPasswordWrong)
		}},
		{name: "sign-in", technique: "T1078.004", repeat: 1, after: seconds(5, 25), do: func(s *Scenario, r *running) {
			oktaStep(s, r, r.user, &oktaSession)
			s.pause(2000, 9000)
			oktaStep(s, r, r.user, &oktaSSO)
			s.pause(2000, 9000)
			it := event(cloudCall, r.host, r.user)
			it.call, it.ip, it.s1, it.n = &callConsole, r.ip, agents[0], s.r.next()
			s.put(&it)
		}},
		{name: "enumeration", technique: "T1580", repeat: len(enumeration), after: minutes(2, 8), every: seconds(2, 20), do: func(s *Scenario, r *running) {
			cloudStep(s, r, &enumeration[r.round])
		}},
		{name: "key for another user", technique: "T1098.001", repeat: 1, after: minutes(5, 20), do: func(s *Scenario, r *running) {
			cloudStep(s, r, &callForeignKey)
		}},
		{name: "objects taken", technique: "T1530", repeat: 60, after: minutes(5, 20), every: [2]int64{200, 3000}, do: func(s *Scenario, r *running) {
			cloudStep(s, r, &callTake)
		}},
	},
}

var (
	oktaPushDenied = apiCall{name: "user.mfa.okta_verify.deny_push", message: "User rejected Okta push verify", failure: "INVALID_CREDENTIALS", debug: `,"factor":"OKTA_VERIFY_PUSH"`}
	oktaReset      = apiCall{name: "user.mfa.factor.reset_all", message: "Reset all factors for user", proxy: true}
	oktaGrant      = apiCall{name: "user.account.privilege.grant", message: "Grant user privilege", debug: `,"privilegeGranted":"Super administrator (all)"`, proxy: true}
)

var mfaFatigue = attack{
	name:   "okta-mfa-fatigue",
	about:  "Push messages are sent until one is accepted; another person's factors are reset and rights are granted",
	length: 90,
	begin: func(s *Scenario, r *running) {
		r.user = s.admin(r.user)
		r.other = (r.user + 1) % int32(len(s.fleet.users))
	},
	stages: []stage{
		{name: "push messages", technique: "T1621", repeat: 18, every: seconds(10, 60), do: func(s *Scenario, r *running) {
			oktaStep(s, r, r.user, &oktaPushDenied)
		}},
		{name: "push accepted", technique: "T1078.004", repeat: 1, after: seconds(10, 60), do: func(s *Scenario, r *running) {
			oktaStep(s, r, r.user, &oktaFactor)
			s.pause(200, 2000)
			oktaStep(s, r, r.user, &oktaSession)
		}},
		{name: "factors reset", technique: "T1556.006", repeat: 1, after: minutes(3, 10), do: func(s *Scenario, r *running) {
			it := event(oktaEvent, r.host, r.user)
			it.call, it.ip, it.s1, it.m = &oktaReset, r.ip, agents[4], uint64(r.other)+1
			s.put(&it)
		}},
		{name: "rights granted", technique: "T1098.003", repeat: 1, after: minutes(2, 10), do: func(s *Scenario, r *running) {
			it := event(oktaEvent, r.host, r.user)
			it.call, it.ip, it.s1, it.m = &oktaGrant, r.ip, agents[4], uint64(r.other)+1
			s.put(&it)
		}},
		{name: "applications opened", technique: "T1550.004", repeat: 6, after: minutes(1, 5), every: seconds(10, 60), do: func(s *Scenario, r *running) {
			oktaStep(s, r, r.other, &oktaSSO)
		}},
	},
}
