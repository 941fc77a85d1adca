package agent

// Unsupported names keys that Consul knows and Concord does not serve, as paths.
type Unsupported []string

func DecodeService(m map[string]any) (ServiceDefinition, Unsupported, error) {
	return ServiceDefinition{}, nil, nil
}
func DecodeCheck(m map[string]any) (CheckDefinition, Unsupported, error) {
	return CheckDefinition{}, nil, nil
}
