package main

import (
	"fmt"
	"io"
	"log/slog"
)

// logConfig is the part of every role's configuration that is about logs.
type logConfig struct {
	LogLevel  string `toml:"log_level"`
	LogFormat string `toml:"log_format"`
}

// newLogger writes to w. The level is debug, info, warn or error, the format
// text or json; empty means info and text.
func newLogger(w io.Writer, c logConfig) (*slog.Logger, error) {
	var level slog.Level
	if c.LogLevel != "" {
		if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
			return nil, fmt.Errorf("log_level: want debug, info, warn or error, got %q", c.LogLevel)
		}
	}
	options := &slog.HandlerOptions{Level: level}
	switch c.LogFormat {
	case "", "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, fmt.Errorf("log_format: want text or json, got %q", c.LogFormat)
}
