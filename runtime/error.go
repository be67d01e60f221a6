package runtime

// Hint returns err with advice for the person who reads it.
func Hint(err error, hint string) error { return err }
