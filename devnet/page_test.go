package devnet

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPage(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "the page") })
	server := httptest.NewServer(Page(page, func(g Guest) (string, error) {
		return "token for " + g.Identity + " in " + g.Room, nil
	}))
	defer server.Close()
	ask := func(body string, header ...string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, server.URL+"/api/token", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}

	code, text := ask(`{"identity":"alice","room":"demo","name":"Alice"}`)
	var got struct{ Token, URL string }
	if err := json.Unmarshal([]byte(text), &got); err != nil || code != http.StatusOK {
		t.Fatalf("status %d, body %q, want 200 and JSON", code, text)
	}
	if want := "ws" + strings.TrimPrefix(server.URL, "http"); got.Token != "token for alice in demo" || got.URL != want {
		t.Errorf("got %+v, want a token for alice in demo and %s", got, want)
	}

	for _, test := range []struct {
		name, body, want string
		header           []string
		code             int
	}{
		{"no JSON", `alice`, "want JSON such as", nil, 400},
		{"no identity", `{"room":"demo"}`, "identity: must not be empty", nil, 400},
		{"no room", `{"identity":"alice"}`, "room: must not be empty", nil, 400},
		{"long name", `{"identity":"a","room":"b","name":"` + strings.Repeat("x", 129) + `"}`, "name: at most 128 bytes, got 129", nil, 400},
		{"large body", `{"identity":"` + strings.Repeat("x", maxGuestBody) + `"}`, "want JSON such as", nil, 400},
		{"page of another site", `{"identity":"a","room":"b"}`, "", []string{"Sec-Fetch-Site", "cross-site"}, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			if code, text := ask(test.body, test.header...); code != test.code || !strings.Contains(text, test.want) {
				t.Errorf("status %d, body %q; want %d with %q", code, text, test.code, test.want)
			}
		})
	}

	response, err := http.Get(server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if text, _ := io.ReadAll(response.Body); string(text) != "the page" {
		t.Errorf("GET / gave %q, want the page", text)
	}
}
