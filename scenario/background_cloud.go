package scenario

var (
	oktaSSO           = apiCall{name: "user.authentication.sso", message: "User single sign on to app", target: "Example CRM"}
	oktaSession       = apiCall{name: "user.session.start", message: "User login to Okta", debug: `,"threatSuspected":"false"`}
	oktaFactor        = apiCall{name: "user.authentication.auth_via_mfa", message: "Authentication of user via MFA", debug: `,"factor":"OKTA_VERIFY_PUSH"`}
	oktaPasswordWrong = apiCall{name: "user.session.start", message: "User login to Okta", failure: "INVALID_CREDENTIALS", debug: `,"threatSuspected":"false"`}
)

// developerCalls are what people ask of the cloud on a working day.
var developerCalls = [...]apiCall{
	{source: "ec2.amazonaws.com", name: "DescribeInstances", request: `{"instancesSet":{},"filterSet":{}}`, read: true},
	{source: "s3.amazonaws.com", name: "ListBuckets", request: `{"Host":"s3.eu-central-1.amazonaws.com"}`, read: true},
	{source: "s3.amazonaws.com", name: "GetObject", request: `{"bucketName":"example-build","key":"artifacts/build-%n.zip"}`, read: true, data: true},
	{source: "s3.amazonaws.com", name: "PutObject", request: `{"bucketName":"example-build","key":"artifacts/build-%n.zip"}`, data: true},
	{source: "lambda.amazonaws.com", name: "ListFunctions20150331", request: `{"maxItems":50}`, read: true},
	{source: "logs.amazonaws.com", name: "DescribeLogGroups", request: `{"limit":50}`, read: true},
	{source: "iam.amazonaws.com", name: "GetUser", request: `{"userName":"%u"}`, read: true},
	{source: "iam.amazonaws.com", name: "CreateAccessKey", request: `{"userName":"%u"}`, response: `{"accessKey":{"userName":"%u","accessKeyId":"AKIAEXAMPLE%x","status":"Active"}}`},
	{source: "sts.amazonaws.com", name: "GetCallerIdentity", request: "", read: true},
	{source: "ecr.amazonaws.com", name: "DescribeRepositories", request: `{"maxResults":100}`, read: true},
}

var callDenied = apiCall{source: "iam.amazonaws.com", name: "ListUsers", failure: "AccessDenied", read: true}

// roleCalls are what services do under their roles.
var roleCalls = [...]apiCall{
	{source: "ec2.amazonaws.com", name: "DescribeInstanceStatus", request: `{"instancesSet":{}}`, read: true},
	{source: "monitoring.amazonaws.com", name: "PutMetricAlarm", request: `{"alarmName":"cpu-%n"}`},
	{source: "s3.amazonaws.com", name: "PutObject", request: `{"bucketName":"example-logs","key":"app/%n.gz"}`, data: true},
	{source: "s3.amazonaws.com", name: "GetObject", request: `{"bucketName":"example-data","key":"tables/part-%n.parquet"}`, read: true, data: true},
	{source: "secretsmanager.amazonaws.com", name: "GetSecretValue", request: `{"secretId":"app/database"}`, read: true},
	{source: "autoscaling.amazonaws.com", name: "UpdateAutoScalingGroup", request: `{"autoScalingGroupName":"web","desiredCapacity":4}`},
}

var (
	callAssume   = apiCall{source: "sts.amazonaws.com", name: "AssumeRole", request: `{"roleArn":"arn:aws:iam::%a:role/app","roleSessionName":"app-%n"}`, response: `{"credentials":{"accessKeyId":"ASIAEXAMPLE%x","expiration":"-"}}`, read: true}
	callSnapshot = apiCall{source: "ec2.amazonaws.com", name: "CreateSnapshot", request: `{"volumeId":"vol-0%x","description":"nightly"}`, response: `{"snapshotId":"snap-0%x","status":"pending"}`}
)

// cloud lets the cloud's own services work; at night, snapshots.
func (s *Scenario) cloud() {
	it := event(cloudCall, -1, -1)
	it.n = uint64(s.r.below(100000))
	switch k := s.r.below(10); {
	case s.now/hour%24 == 2 && k < 4:
		it.call, it.m, it.ip, it.s1, it.s2, it.s3 = &callSnapshot, asRole, net1|60, "Boto3/1.42.0", "backup", "backup"
		s.put(&it)
	case k < 3:
		it.call, it.m, it.s1 = &callAssume, asService, "ec2.amazonaws.com"
		s.put(&it)
	default:
		it.m, it.s1, it.s2, it.s3 = asRole, "aws-sdk-go-v2/1.40.0", "i-0example", "app"
		it.ip = net1 | uint32(64+s.r.below(8))
		for range 1 + s.r.below(4) {
			it.call = &roleCalls[s.r.below(len(roleCalls))]
			s.put(&it)
			s.pause(50, 900)
		}
	}
}
