package jetstream

import "fmt"

// FieldError says what is wrong with a field of a configuration. Whoever reads
// that from a file knows the field by another name.
type FieldError struct {
	Field string // of EmbeddedConfig or ConnectConfig
	Err   error  // what is wanted instead
}

// Error names the field.
func (e *FieldError) Error() string { return "jetstream: " + e.Field + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *FieldError) Unwrap() error { return e.Err }

func wrong(field, format string, args ...any) error {
	return &FieldError{Field: field, Err: fmt.Errorf(format, args...)}
}
