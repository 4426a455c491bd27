package devnet

import "github.com/drtc-network/drtc"

type place struct {
	name   string
	region drtc.Region
	at     drtc.Place
}

// places are declared by Media Nodes in this order; the first three are the
// default network. After the last one the list begins again.
var places = [...]place{
	{"Frankfurt", drtc.Europe, drtc.Place{Lat: 50.11, Lon: 8.68}},
	{"Virginia", drtc.NorthAmerica, drtc.Place{Lat: 38.95, Lon: -77.45}},
	{"Singapore", drtc.Asia, drtc.Place{Lat: 1.35, Lon: 103.82}},
	{"Sao Paulo", drtc.SouthAmerica, drtc.Place{Lat: -23.55, Lon: -46.63}},
	{"Sydney", drtc.Oceania, drtc.Place{Lat: -33.87, Lon: 151.21}},
	{"Johannesburg", drtc.Africa, drtc.Place{Lat: -26.2, Lon: 28.05}},
	{"Dubai", drtc.MiddleEast, drtc.Place{Lat: 25.2, Lon: 55.27}},
	{"Oregon", drtc.NorthAmerica, drtc.Place{Lat: 45.52, Lon: -122.68}},
}
