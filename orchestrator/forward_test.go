package orchestrator_test

import (
	"net/http"
	"strings"
	"testing"
)

// What members tell each other is not for clients.
func TestMemberOrders_ofNobodyAreNotFound(t *testing.T) {
	n := newNetwork(t, 1, nil)
	n.join("ann", "r")
	order := `{"application":"","room":"r","guest":{"id":"PA_x","identity":"ann","gone":true}}`
	for what, change := range map[string]func(*http.Request){
		"without a header": func(*http.Request) {},
		"with garbage":     func(r *http.Request) { r.Header.Set("X-Drtc-Message", "a;1;2;3") },
		"with a token":     func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token(t, "ann", "r")) },
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.o.URL()+"/drtc/v1/member/order", strings.NewReader(order))
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s: got %s, want 404", what, answer.Status)
		}
	}
}
