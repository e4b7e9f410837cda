package event

// SourceBytesMax bounds the name of a source that a configuration or a token
// names.
const SourceBytesMax = 64

// SourceName reports whether a source can have that name: 1 to
// [SourceBytesMax] of a-z, A-Z, 0-9, ., - and _, beginning with a letter or
// digit. Such a name is safe in paths, keys, labels and headers.
func SourceName(name string) bool {
	if name == "" || len(name) > SourceBytesMax {
		return false
	}
	for i, c := range []byte(name) {
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !plain && (i == 0 || c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return true
}
