package whip

import (
	"fmt"
	"net/http"
	"strings"
)

// validate says what is wrong with a server's address.
func (i ICEServer) validate() error {
	scheme, rest, _ := strings.Cut(i.URL, ":")
	switch {
	case scheme != "stun" && scheme != "stuns" && scheme != "turn" && scheme != "turns", rest == "", strings.ContainsAny(i.URL, "<> \r\n"):
		return fmt.Errorf("url: want stun:, stuns:, turn: or turns: and a host, got %.80q", i.URL)
	case strings.ContainsAny(i.Username+i.Credential, "\"\\\r\n"):
		return fmt.Errorf("username, credential: want no quotes, backslashes or line ends")
	case strings.HasPrefix(scheme, "turn") && (i.Username == "" || i.Credential == ""):
		return fmt.Errorf("username, credential: a turn server needs both")
	}
	return nil
}

// linkServers tells a client of the STUN and TURN servers (RFC 9725 section 4.6).
func (s *Server) linkServers(w http.ResponseWriter) {
	for _, i := range s.config.ICEServers {
		link := "<" + i.URL + `>; rel="ice-server"`
		if i.Username != "" {
			link += fmt.Sprintf(`; username="%s"; credential="%s"; credential-type="password"`, i.Username, i.Credential)
		}
		w.Header().Add("Link", link)
	}
}
