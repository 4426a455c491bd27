package registry_test

func floodUntilCut(string, string, []string) error { return nil }
