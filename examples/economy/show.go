package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/econ"
)

// teller writes the story as it goes.
type teller struct{ out io.Writer }

func (t teller) act(title string) {
	fmt.Fprintf(t.out, "\n%s\n%s\n", title, strings.Repeat("-", len(title)))
}

func (t teller) line(format string, values ...any) { fmt.Fprintf(t.out, "  "+format+"\n", values...) }

// refused shows what a contract said.
func (t teller) refused(who, what string, r *client.Revert) {
	said := strings.TrimPrefix(r.Error(), "refused by the contract: ")
	t.line("%s %s", who, what)
	t.line("    REFUSED: %s", said)
}

// epoch shows what an epoch was like and what it did.
func (t teller) epoch(f finished, unpaid econ.Credits) {
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tnode\tA\tH\tL\tC\tV\tGB\treward\tpaid\t")
	for i, l := range f.open.Leaves {
		s := l.Scores
		fmt.Fprintf(w, "\t%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.1f\t%s\t%s\t\n", f.names[l.Node],
			s.Availability.Float(), s.History.Float(), s.Location.Float(), s.Coverage.Float(), s.Quality.Float(),
			l.ClientBytes.Add(l.RelayBytes).Float()/econ.GB, short(f.Gross[i]), short(f.Payouts[i]))
	}
	w.Flush() //nolint:errcheck // as fmt.Fprint
	t.line("at %.4f USD: minted %s, burned %s, kept %s of the %s HUDL that credits cost", f.open.High.Float(),
		short(f.Totals.Mint), short(f.Totals.Burn), short(f.Totals.Kept), short(f.open.Escrow))
	if f.Cut {
		t.line("payouts are cut: more would pass the cap on the supply's growth")
	}
	if !unpaid.IsZero() {
		t.line("applications had authorised %s credits too few: their orchestrators paid them", unpaid)
	}
}

// books shows the lines that have HUDL in them.
func (t teller) books(lines []Balance) {
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for i, l := range lines {
		book := l.Book
		if i > 0 && lines[i-1].Book == book {
			book = ""
		}
		amount := short(l.Amount)
		switch l.Book {
		case "keys":
			amount = ""
		case "dust", "credits, DC", "authorised, DC", "epochs paid up to, not included", "keys that counted":
			amount = l.Amount.String()
		}
		if l.Of == "beta, bps" {
			amount = l.Amount.String()
		}
		fmt.Fprintf(w, "\t%s\t%s\t%s\t\n", book, l.Of, amount)
	}
	w.Flush() //nolint:errcheck // as fmt.Fprint
}

// short is an amount in HUDL to four places, cut off.
func short(w econ.Wei) string {
	const places = 4
	text := w.String()
	if pad := 19 - len(text); pad > 0 {
		text = strings.Repeat("0", pad) + text
	}
	point := len(text) - 18
	return text[:point] + "." + text[point:point+places]
}
