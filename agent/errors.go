package agent

import "fmt"

// InvalidError tells what is wrong with a definition or a status; HTTP answers it with 400.
type InvalidError struct{ Message string }

// Error returns what is wrong, in Consul's words.
func (e *InvalidError) Error() string { return e.Message }

// NotFoundError tells that there is no such service or check; HTTP answers it with 404.
type NotFoundError struct{ Message string }

// Error returns what was not found, in Consul's words.
func (e *NotFoundError) Error() string { return e.Message }

func invalid(format string, args ...any) error {
	return &InvalidError{fmt.Sprintf(format, args...)}
}

func unknownService(id string) error {
	return &NotFoundError{fmt.Sprintf("Unknown service ID %q. Ensure that the service ID is passed, not the service name.", id)}
}

func unknownCheck(id string) error {
	return &NotFoundError{fmt.Sprintf("Unknown check ID %q. Ensure that the check ID is passed, not the check name.", id)}
}
