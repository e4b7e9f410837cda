package rule

// Modifier describes a value modifier; the reference pages are made from it.
type Modifier struct {
	Name string
	// Aliases are further names: those of the specification's own
	// alternatives, and those of other tools.
	Aliases []string
	// Meaning says what it does, Values which values it takes, Order where it
	// may stand in the chain.
	Meaning, Values, Order string
}

// Modifiers is the table of all modifiers.
var Modifiers = []Modifier{
	{"contains", nil, "The value stands anywhere in the field.", "text, numbers", "after the encodings, in any order with windash, expand, cased and all; not with startswith or endswith"},
	{"startswith", nil, "The field begins with the value.", "text, numbers", "as contains; not with keywords"},
	{"endswith", nil, "The field ends with the value.", "text, numbers", "as contains; not with keywords"},
	{"all", nil, "Every value of the list must match, not any.", "lists", "anywhere"},
	{"cased", nil, "Letters are compared with their case.", "text", "anywhere; not with re or cidr"},
	{"neq", nil, "None of the values matches; with all: not all of them. Also true when the field is absent.", "any", "anywhere; not with exists"},
	{"exists", nil, "The field is present, or absent; null and the empty text count as present.", "true, false", "alone"},
	{"windash", nil, "A dash that begins a flag stands for any of - / – — ―.", "text", "before the encodings, in any order with contains and the like"},
	{"re", nil, "The regular expression (RE2) is found in the field, with the case of letters.", "text up to 4 KiB", "before i, m, s; only all, neq and expand may precede it"},
	{"i", []string{"ignorecase"}, "The expression ignores the case of letters.", "expressions", "directly after re, m or s"},
	{"m", []string{"multiline"}, "^ and $ match at every line of the field.", "expressions", "directly after re, i or s"},
	{"s", []string{"dotall"}, ". matches a line feed too.", "expressions", "directly after re, i or m"},
	{"base64", nil, "The value is encoded as padded base64.", "text without wildcards", "before contains and the like"},
	{"base64offset", nil, "The value is encoded as the three fragments it can leave inside base64.", "text without wildcards, at least 2 bytes", "before contains, which should follow"},
	{"utf16le", []string{"wide"}, "The value is encoded as UTF-16, low byte first.", "text without wildcards", "directly before base64 or base64offset"},
	{"utf16be", nil, "The value is encoded as UTF-16, high byte first.", "text without wildcards", "directly before base64 or base64offset"},
	{"utf16", nil, "The value is encoded as UTF-16, low byte first, behind a byte order mark.", "text without wildcards", "directly before base64 or base64offset"},
	{"lt", nil, "The field is a number less than the value.", "numbers", "first, or after a part of time"},
	{"lte", nil, "The field is a number not greater than the value.", "numbers", "first, or after a part of time"},
	{"gt", nil, "The field is a number greater than the value.", "numbers", "first, or after a part of time"},
	{"gte", nil, "The field is a number not less than the value.", "numbers", "first, or after a part of time"},
	{"minute", nil, "The minute of a timestamp, 0 to 59.", "whole numbers", "first; lt, lte, gt, gte or neq may follow"},
	{"hour", nil, "The hour of a timestamp, 0 to 23, by its own offset.", "whole numbers", "as minute"},
	{"day", nil, "The day of the month of a timestamp, 1 to 31.", "whole numbers", "as minute"},
	{"week", nil, "The ISO 8601 week of a timestamp, 1 to 53.", "whole numbers", "as minute"},
	{"month", nil, "The month of a timestamp, 1 to 12.", "whole numbers", "as minute"},
	{"year", nil, "The year of a timestamp.", "whole numbers", "as minute"},
	{"cidr", nil, "The field is an IPv4 or IPv6 address inside the network.", "networks, addresses", "only with all, neq and expand"},
	{"expand", nil, "%name% stands for the values of the list of that name; \\% is a percent sign.", "text", "anywhere; not with exists or fieldref"},
	{"fieldref", []string{"equalsfield", "endswithfield"}, "The field equals another field of the event; with contains, startswith, endswith: holds it so.", "names of fields", "with contains and the like, cased, all and neq"},
}

// modifierNames are all names, for finding the nearest.
var modifierNames = func() []string {
	var names []string
	for _, m := range Modifiers {
		names = append(names, m.Name)
		names = append(names, m.Aliases...)
	}
	return names
}()
