package room

// Limits of what a participant may say of itself, in bytes.
const (
	maxName       = 256
	maxMetadata   = 64 << 10
	maxAttributes = 64 << 10
)

func (r *Room) setMetadata(m *member, c SetMetadata) {
	if failure, text := m.checkMetadata(c); failure != FailureNone {
		r.toClient(m, RequestDone{Request: c.Request, Failure: failure, Text: text})
		return
	}
	m.takeMetadata(c)
	r.announce(m)
	r.refreshToken(m)
	r.toClient(m, RequestDone{Request: c.Request})
}

// takeMetadata changes name, metadata and attributes as c says.
func (m *member) takeMetadata(c SetMetadata) {
	if c.Name != "" {
		m.Name = c.Name
	}
	if c.Metadata != "" {
		m.Metadata = c.Metadata
	}
	for k, v := range c.Attributes {
		if v == "" {
			delete(m.Attributes, k)
			continue
		}
		if m.Attributes == nil {
			m.Attributes = map[string]string{}
		}
		m.Attributes[k] = v
	}
}

func (m *member) checkMetadata(c SetMetadata) (Failure, string) {
	if !m.Permission.UpdateMetadata {
		return FailureNotAllowed, "the token does not allow changing own metadata"
	}
	for name := range c.Attributes {
		if Reserved(name) {
			return FailureNotAllowed, "the attribute " + name + " is the server's: leave it out"
		}
	}
	return m.checkLengths(c)
}

// checkLengths holds what c says to the limits.
func (m *member) checkLengths(c SetMetadata) (Failure, string) {
	size := 0
	for k, v := range m.Attributes {
		if _, changed := c.Attributes[k]; !changed {
			size += len(k) + len(v)
		}
	}
	for k, v := range c.Attributes {
		if v != "" {
			size += len(k) + len(v)
		}
	}
	switch {
	case len(c.Name) > maxName:
		return FailureLimit, "name is longer than 256 bytes"
	case len(c.Metadata) > maxMetadata:
		return FailureLimit, "metadata is longer than 64 KiB"
	case size > maxAttributes:
		return FailureLimit, "attributes are longer than 64 KiB"
	}
	return FailureNone, ""
}
