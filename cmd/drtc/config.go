package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"
)

// readConfig reads the TOML file at path over what into holds. A key that into
// does not know is an error: a misspelt key must not be a silent default. An
// empty path leaves into as it is.
func readConfig(path string, into any) error {
	if path == "" {
		return nil
	}
	meta, err := toml.DecodeFile(path, into)
	var parse toml.ParseError
	switch {
	case errors.As(err, &parse):
		return fmt.Errorf("%s: %s", path, strings.TrimSpace(parse.ErrorWithPosition()))
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	}
	var names []string
	for _, key := range meta.Undecoded() {
		// An unknown table is enough; its keys come after it.
		if n := len(names); n == 0 || !strings.HasPrefix(key.String(), names[n-1]+".") {
			names = append(names, key.String())
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("%s: unknown key %s", path, strings.Join(names, ", "))
	}
	return nil
}
