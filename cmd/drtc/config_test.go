package main

import (
	"encoding"
	"os"
	"reflect"
	"strings"
	"testing"
)

// Every key that a role reads is explained to operators.
func TestConfigurationDocument_namesEveryKey(t *testing.T) {
	doc, err := os.ReadFile("../../docs/ops/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []any{registryFile{}, medianodeFile{}, orchestratorFile{}} {
		keys := tomlKeys(reflect.TypeOf(file), "")
		if len(keys) < 5 {
			t.Errorf("%T has the keys %q, want more", file, keys)
		}
		for _, key := range keys {
			if !strings.Contains(string(doc), "`"+key+"`") {
				t.Errorf("docs/ops/configuration.md does not explain %s of %T", key, file)
			}
		}
	}
}

// tomlKeys lists the keys of a configuration struct, those of tables with dots.
// A field that a file could set must have a tag.
func tomlKeys(t reflect.Type, prefix string) []string {
	var keys []string
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("toml")
		switch {
		case f.Anonymous:
			keys = append(keys, tomlKeys(f.Type, prefix)...)
		case tag == "-":
		case tag == "":
			keys = append(keys, "a tag for "+f.Name)
		case f.Type.Kind() == reflect.Struct && !reflect.PointerTo(f.Type).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
			keys = append(keys, tomlKeys(f.Type, prefix+tag+".")...)
		default:
			keys = append(keys, prefix+tag)
		}
	}
	return keys
}
