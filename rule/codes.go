package rule

// Code names one kind of diagnostic.
type Code string

// CodeInfo describes a [Code]; the reference pages are made from it.
type CodeInfo struct {
	Code     Code
	Severity Severity
	// Text says what is wrong, Advice what to do; whole sentences.
	Text, Advice string
}

// The codes.
const (
	CodeFileUnreadable      Code = "file-unreadable"
	CodeYAML                Code = "yaml-invalid"
	CodeNotARule            Code = "not-a-rule"
	CodeDocumentKind        Code = "document-kind"
	CodeActionLegacy        Code = "action-legacy"
	CodeTitleMissing        Code = "title-missing"
	CodeTitleLong           Code = "title-long"
	CodeDescriptionLong     Code = "description-long"
	CodeIDMissing           Code = "id-missing"
	CodeIDInvalid           Code = "id-invalid"
	CodeIDDuplicate         Code = "id-duplicate"
	CodeNameDuplicate       Code = "name-duplicate"
	CodeStatusUnknown       Code = "status-unknown"
	CodeLevelMissing        Code = "level-missing"
	CodeLevelUnknown        Code = "level-unknown"
	CodeDateSlash           Code = "date-slash"
	CodeDateInvalid         Code = "date-invalid"
	CodeTagInvalid          Code = "tag-invalid"
	CodeTagNamespace        Code = "tag-namespace"
	CodeTagUnderscore       Code = "tag-underscore"
	CodeRelatedInvalid      Code = "related-invalid"
	CodeRelatedEnabled      Code = "related-enabled"
	CodeMetadataType        Code = "metadata-type"
	CodeTaxonomyUnmapped    Code = "taxonomy-unmapped"
	CodeLogsourceMissing    Code = "logsource-missing"
	CodeLogsourceInvalid    Code = "logsource-invalid"
	CodeDetectionInvalid    Code = "detection-invalid"
	CodeTimeframeLegacy     Code = "timeframe-legacy"
	CodeIdentifierInvalid   Code = "identifier-invalid"
	CodeIdentifierReserved  Code = "identifier-reserved"
	CodeIdentifierUnused    Code = "identifier-unused"
	CodeSelectionInvalid    Code = "selection-invalid"
	CodeConditionMissing    Code = "condition-missing"
	CodeConditionSyntax     Code = "condition-syntax"
	CodeConditionCase       Code = "condition-case"
	CodeConditionIdentifier Code = "condition-identifier"
	CodeConditionSelector   Code = "condition-selector"
	CodeConditionCount      Code = "condition-count"
	CodeConditionAggregate  Code = "condition-aggregation"
	CodeConditionSize       Code = "condition-size"
	CodeListEmpty           Code = "list-empty"
	CodeListNull            Code = "list-null"
	CodeValueInvalid        Code = "value-invalid"
	CodeValuesMany          Code = "values-many"
	CodeKeywordInvalid      Code = "keyword-invalid"
	CodePatternAll          Code = "pattern-all"
	CodeModifierUnknown     Code = "modifier-unknown"
	CodeModifierAlias       Code = "modifier-alias"
	CodeModifierOrder       Code = "modifier-order"
	CodeModifierConflict    Code = "modifier-conflict"
	CodeModifierField       Code = "modifier-field"
	CodeModifierValue       Code = "modifier-value"
	CodeModifierNoEffect    Code = "modifier-no-effect"
	CodeAllSingle           Code = "all-single"
	CodeNeqAbsent           Code = "neq-absent"
	CodeNumberText          Code = "number-text"
	CodeTimePartRange       Code = "time-part-range"
	CodeRegexInvalid        Code = "regex-invalid"
	CodeRegexModifier       Code = "regex-modifier"
	CodeCIDRInvalid         Code = "cidr-invalid"
	CodeCIDRHostBits        Code = "cidr-host-bits"
	CodeEncodingDangling    Code = "encoding-dangling"
	CodeEncodingWildcard    Code = "encoding-wildcard"
	CodeEncodingShort       Code = "encoding-short"
	CodeEncodingFragment    Code = "encoding-fragment"
	CodeEncodingContains    Code = "encoding-contains"
	CodeFieldRefInvalid     Code = "fieldref-invalid"
	CodePlaceholderMissing  Code = "placeholder-missing"
	CodePlaceholderNone     Code = "placeholder-none"
	CodeValuesFile          Code = "values-file"
	CodeCorrelationInvalid  Code = "correlation-invalid"
	CodeCorrelationType     Code = "correlation-type"
	CodeCorrelationRules    Code = "correlation-rules"
	CodeCorrelationCycle    Code = "correlation-cycle"
	CodeCorrelationUnmet    Code = "correlation-reference"
	CodeCorrelationTimespan Code = "correlation-timespan"
	CodeCorrelationField    Code = "correlation-field"
	CodeCorrelationLimit    Code = "correlation-condition"
	CodeCorrelationAlias    Code = "correlation-alias"
	CodeCorrelationGlobal   Code = "correlation-global"
	CodeCorrelationOption   Code = "correlation-experimental"
	CodeFilterInvalid       Code = "filter-invalid"
	CodeFilterWithoutNot    Code = "filter-without-not"
	CodeFilterReference     Code = "filter-reference"
	CodeFilterUnused        Code = "filter-unused"
	CodeLookupFile          Code = "lookup-file"
	CodeLookupRow           Code = "lookup-row"
	CodeOverrides           Code = "overrides-invalid"
	CodeOverrideUnused      Code = "override-unused"
)

// Codes is the table of all codes, in the order of a document's parts.
var Codes = []CodeInfo{
	{CodeFileUnreadable, Error, "The file or folder cannot be read.", "Check that it exists and may be read; the other files were loaded."},
	{CodeYAML, Error, "The file is not acceptable YAML: a syntax error, a duplicate key, or a limit on size, depth or aliases.", "Correct the line named."},
	{CodeNotARule, Lint, "A YAML file holds no Sigma document: none of its documents has a key detection, correlation or filter.", "Move the file out of the rule folders, or add the missing key."},
	{CodeDocumentKind, Error, "A document with title and logsource, or in a file of rules, has none or more than one of the keys detection, correlation and filter, or is not a map.", "Correct the key, or split the document with a line of three dashes."},
	{CodeActionLegacy, Error, "The document uses action: global, reset or repeat of Sigma before 2.0.", "Write every document out in full."},
	{CodeTitleMissing, Error, "The document has no title.", "Add a title of at most 256 characters."},
	{CodeTitleLong, Lint, "The title is longer than 256 characters.", "Shorten it and move the rest into the description."},
	{CodeDescriptionLong, Lint, "The description is longer than 65,535 characters.", "Shorten it."},
	{CodeIDMissing, Lint, "The document has no id; one is derived from its content and changes with it.", "Add a random UUID, so that detections keep their identity."},
	{CodeIDInvalid, Error, "The id is not a UUID.", "Write a UUID, such as the output of uuidgen."},
	{CodeIDDuplicate, Error, "Another document has the same id; the first one loaded is kept.", "Give one of them a new id, or load only one."},
	{CodeNameDuplicate, Error, "Another document has the same name; the first one loaded is kept.", "Give one of them another name."},
	{CodeStatusUnknown, Error, "The status is none of stable, test, experimental, deprecated, unsupported.", "Correct it."},
	{CodeLevelMissing, Lint, "The rule has no level and is taken as low.", "Add a level."},
	{CodeLevelUnknown, Error, "The level is none of informational, low, medium, high, critical.", "Correct it."},
	{CodeDateSlash, Lint, "A date is written with slashes, as before Sigma 2.0.", "Write YYYY-MM-DD."},
	{CodeDateInvalid, Lint, "A date is not a day of the calendar as YYYY-MM-DD.", "Correct it."},
	{CodeTagInvalid, Lint, "A tag is not a namespace and a name joined by a dot.", "Write it as attack.t1059 or another namespace.name."},
	{CodeTagNamespace, Lint, "A tag's namespace is none of those of the specification; the tag is kept.", "Correct the namespace if it is a slip."},
	{CodeTagUnderscore, Lint, "An ATT&CK tag is written with underscores, as before Sigma 2.0; it is read with hyphens.", "Write hyphens."},
	{CodeRelatedInvalid, Lint, "An entry of related is not a map of id and type with a known type; it is left out.", "Write an id and one of derived, obsolete, merged, renamed, similar."},
	{CodeRelatedEnabled, Lint, "A rule and the one that it replaces are both enabled and will both match.", "Remove the older one or set its status to deprecated."},
	{CodeMetadataType, Lint, "A descriptive field has the wrong form: what cannot be read is left out, a word in the wrong case is understood.", "Write text, or a list of texts, as the specification says."},
	{CodeTaxonomyUnmapped, Error, "The rule uses a taxonomy for which no mapping exists, so its fields would never be found.", "Translate the rule to the taxonomy sigma, or name the taxonomy as known."},
	{CodeLogsourceMissing, Error, "The document has no logsource, or one without category, product and service.", "Say which events it is about."},
	{CodeLogsourceInvalid, Error, "The logsource is not a map of texts.", "Write category, product and service as texts."},
	{CodeDetectionInvalid, Error, "The detection is not a map with a condition and at least one selection.", "Add what is missing."},
	{CodeTimeframeLegacy, Error, "The detection has a timeframe, as before Sigma 2.0.", "Write a correlation document that names this rule."},
	{CodeIdentifierInvalid, Lint, "The name of a selection holds characters that a condition cannot name; only a pattern can select it.", "Use letters, digits, underscores and hyphens."},
	{CodeIdentifierReserved, Error, "The name of a selection is a word of the condition language.", "Rename it."},
	{CodeIdentifierUnused, Lint, "A selection is not used by any condition.", "Use it or remove it."},
	{CodeSelectionInvalid, Error, "A selection is not a map, a list of maps, or a list of keywords.", "Correct its form."},
	{CodeConditionMissing, Error, "The detection or filter has no condition.", "Add one, such as condition: selection."},
	{CodeConditionSyntax, Error, "The condition cannot be read.", "See the grammar of conditions."},
	{CodeConditionCase, Lint, "An operator of the condition is not in lower case.", "Write and, or, not, of in lower case."},
	{CodeConditionIdentifier, Error, "The condition names a selection that does not exist.", "Correct the name or add the selection."},
	{CodeConditionSelector, Error, "A pattern of the condition fits no selection.", "Correct the pattern or add the selection."},
	{CodeConditionCount, Error, "The condition counts selections other than by 1 of, any of, all of.", "Write the combinations out with and and or."},
	{CodeConditionAggregate, Error, "The condition has an aggregation behind a pipe, as before Sigma 2.0.", "Write a correlation document that names this rule."},
	{CodeConditionSize, Error, "The condition is nested too deep or too large.", "Split the rule."},
	{CodeListEmpty, Error, "A list of values is empty.", "Add values or remove the item."},
	{CodeListNull, Lint, "A list of values holds null, which the specification forbids; it is read as: or absent.", "Write the null as a selection of its own."},
	{CodeValueInvalid, Error, "A value is a map or a list where a single value belongs.", "Correct the indentation."},
	{CodeValuesMany, Error, "The rule has more values than the limit.", "Split the rule."},
	{CodeKeywordInvalid, Error, "A keyword is null or empty.", "Remove it."},
	{CodePatternAll, Lint, "A pattern matches every value that is present.", "Write exists: true if that is meant."},
	{CodeModifierUnknown, Error, "A modifier is not known.", "See the table of modifiers."},
	{CodeModifierAlias, Lint, "A modifier is a name of another tool; it is understood.", "Write the name of the specification, so that the rule works everywhere."},
	{CodeModifierOrder, Error, "A modifier stands in the wrong place of the chain.", "See the table of modifiers."},
	{CodeModifierConflict, Error, "Two modifiers contradict each other, or one stands twice.", "Keep one of them."},
	{CodeModifierField, Error, "A modifier needs a field and stands with keywords.", "Name the field."},
	{CodeModifierValue, Error, "A modifier cannot be applied to the value.", "See the table of modifiers for the values that it takes."},
	{CodeModifierNoEffect, Lint, "A modifier has no effect on the value.", "Remove it."},
	{CodeAllSingle, Lint, "The modifier all stands with a single value, which the specification forbids.", "Remove it."},
	{CodeNeqAbsent, Lint, "The modifier neq is also true for events without the field.", "Add an item with the modifier exists, if those are not meant."},
	{CodeNumberText, Lint, "A number is written as text.", "Remove the quotes."},
	{CodeTimePartRange, Lint, "No timestamp has such a part.", "Correct the number."},
	{CodeRegexInvalid, Error, "A regular expression does not compile, is too large, or uses what linear-time expressions lack.", "See the syntax of RE2; split the expression into items."},
	{CodeRegexModifier, Lint, "contains, startswith or endswith stands with a regular expression, which searches anyway.", "Remove it, or write ^ and $ in the expression."},
	{CodeCIDRInvalid, Error, "A network is not an IPv4 or IPv6 network in CIDR notation.", "Write it as 10.0.0.0/8 or fe80::/10."},
	{CodeCIDRHostBits, Lint, "A network has bits set beyond its prefix; they are ignored.", "Write the network's first address."},
	{CodeEncodingDangling, Error, "A UTF-16 modifier is not followed by base64 or base64offset; text fields never hold raw UTF-16.", "Add base64offset|contains after it."},
	{CodeEncodingWildcard, Error, "A value with wildcards cannot be encoded.", `Escape the wildcards as \* and \? if they are meant as text, or split the value.`},
	{CodeEncodingShort, Error, "The value is too short to encode: a fragment would be empty and match everything.", "Use a longer value."},
	{CodeEncodingFragment, Lint, "An encoded fragment has fewer than 4 characters and will match by chance.", "Use a longer value."},
	{CodeEncodingContains, Lint, "base64offset stands without contains, so a fragment would have to be the whole value.", "Add contains after it."},
	{CodeFieldRefInvalid, Error, "The value of fieldref is not the name of a field.", "Write a field's name without wildcards."},
	{CodePlaceholderMissing, Lint, "No list has the name of a placeholder; the rule is not enabled until one does.", "Add the list to the values file."},
	{CodePlaceholderNone, Lint, "The modifier expand stands with a value without placeholders.", "Remove it, or write the placeholder as %name%."},
	{CodeValuesFile, Error, "The values file is not a map from names to lists of values.", "Write name: [value, …] or name: {literal: true, values: [value, …]}."},
	{CodeCorrelationInvalid, Error, "A part of the correlation has the wrong form.", "See the reference of correlations."},
	{CodeCorrelationType, Error, "The type of the correlation is missing or not known.", "Write one of the types of the reference."},
	{CodeCorrelationRules, Error, "The correlation names no rules, or one twice.", "List the ids or names of the rules."},
	{CodeCorrelationCycle, Error, "The correlation leads back to itself.", "Remove one of the references."},
	{CodeCorrelationUnmet, Error, "The correlation names a rule that is not loaded or not enabled.", "Load it, or correct the reference; titles are no references."},
	{CodeCorrelationTimespan, Error, "The timespan is missing, not a whole number and a unit, or too long.", "Write it as 30s, 15m, 6h or 7d."},
	{CodeCorrelationField, Error, "The type needs a field in the condition, or cannot use the one given.", "See the reference of correlations."},
	{CodeCorrelationLimit, Error, "The condition of the correlation is missing or cannot be read.", "Write operators and numbers, such as gte: 10."},
	{CodeCorrelationAlias, Error, "An alias is not a map from referenced rules to fields.", "Name rules that the correlation lists."},
	{CodeCorrelationGlobal, Lint, "The correlation has no group-by; all events make one group.", "Add group-by if hosts, users or addresses are to be told apart."},
	{CodeCorrelationOption, Error, "The correlation uses a feature that must be switched on as experimental.", "Switch it on, or write the correlation without it."},
	{CodeFilterInvalid, Error, "A part of the filter has the wrong form.", "See the reference of filters."},
	{CodeFilterWithoutNot, Lint, "The condition of the filter has no not: only events that it matches are reported.", "Write not before it if they are to be left out."},
	{CodeFilterReference, Lint, "The filter names a rule that is not loaded or that it cannot apply to.", "Correct the reference."},
	{CodeFilterUnused, Lint, "The filter applies to no rule.", "Check its rules and that its logsource is no narrower than theirs."},
	{CodeLookupFile, Error, "The file of a list as a whole cannot be used.", "Correct it; the other lists were loaded."},
	{CodeLookupRow, Lint, "A row of a list is left out, or doubtful.", "Correct the line named."},
	{CodeOverrides, Error, "A part of the overrides file cannot be used; the entry that it is in is left out.", "See the guide to managing rules."},
	{CodeOverrideUnused, Lint, "An override fits no rule that is loaded, or cannot apply to one of them.", "See tiercel rule overrides for what became of its rule."},
}

var severities = func() map[Code]Severity {
	m := make(map[Code]Severity, len(Codes))
	for _, c := range Codes {
		m[c.Code] = c.Severity
	}
	return m
}()

func severityOf(c Code) Severity { return severities[c] }
