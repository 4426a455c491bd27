package negotiate

// direction is a media direction as the side that wrote it sees it: a bit for
// each way.
type direction uint8

const (
	inactive direction = 0
	sendOnly direction = 1
	recvOnly direction = 2
	sendRecv direction = sendOnly | recvOnly
)

func (d direction) sends() bool    { return d&sendOnly != 0 }
func (d direction) receives() bool { return d&recvOnly != 0 }

// reversed is the same direction as the other side sees it.
func (d direction) reversed() direction { return d>>1 | d<<1&recvOnly }

func (d direction) String() string {
	switch d {
	case sendOnly:
		return "sendonly"
	case recvOnly:
		return "recvonly"
	case sendRecv:
		return "sendrecv"
	}
	return "inactive"
}

func parseDirection(s string) (direction, bool) {
	switch s {
	case "sendonly":
		return sendOnly, true
	case "recvonly":
		return recvOnly, true
	case "sendrecv":
		return sendRecv, true
	case "inactive":
		return inactive, true
	}
	return inactive, false
}
