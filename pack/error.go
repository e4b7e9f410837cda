package pack

import "fmt"

// Error is a fault in a pack file.
type Error struct {
	// File is the pack file as it was named to [Load]; for an embedded pack
	// its path below the package.
	File  string
	place place
	// Problem says what is wrong and what to write instead.
	Problem string
}

// Position returns the line and column of the fault, from 1; 0 when it concerns the whole file.
func (e *Error) Position() (line, column int) { return e.place.line, e.place.column }

func (e *Error) Error() string {
	switch {
	case e.File == "":
		return fmt.Sprintf("%d:%d: %s", e.place.line, e.place.column, e.Problem)
	case e.place.line == 0:
		return fmt.Sprintf("%s: %s", e.File, e.Problem)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.place.line, e.place.column, e.Problem)
}
