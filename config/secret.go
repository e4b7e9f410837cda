package config

import "log/slog"

// Secret is text that is never printed: every way of formatting, logging and
// encoding it gives stars. It is comparable; the empty one is "no secret".
type Secret struct{ text string }

// NewSecret wraps a secret.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the secret itself, for the one place that needs it.
func (s Secret) Reveal() string { return s.text }

// IsSet reports whether there is one.
func (s Secret) IsSet() bool { return s.text != "" }

// String gives stars.
func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return "********"
}

// GoString keeps %#v from showing it.
func (s Secret) GoString() string { return "config.Secret(" + s.String() + ")" }

// MarshalText keeps encoders from showing it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue keeps loggers from showing it.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
