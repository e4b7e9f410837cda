package evtx

import "testing"

// Half of a surrogate pair is told of, wherever it stands.
func TestLoneSurrogates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   []uint16
		want string
		lone bool
	}{
		{nil, "", false},
		{[]uint16{'a', 0xe9, 0x65e5}, "aé日", false},
		{[]uint16{'a', 0xd83d, 0xde00, 'b'}, "a😀b", false},
		{[]uint16{0xfffd}, "\uFFFD", false},
		{[]uint16{0xd83d}, "\uFFFD", true},
		{[]uint16{0xd83d, 'a', 'b', 'c', 'd', 'e'}, "\uFFFDabcde", true},
		{[]uint16{0xde00, 0xd83d}, "\uFFFD\uFFFD", true},
		{[]uint16{0xd83d, 0xd83d, 0xde00}, "\uFFFD😀", true},
	} {
		var b []byte
		for _, u := range c.in {
			b = append(b, byte(u), byte(u>>8))
		}
		text, lone := decodeUTF16([]byte("x"), b)
		if string(text) != "x"+c.want || lone != c.lone {
			t.Errorf("%x: %q, lone %v; want %q, %v", c.in, text, lone, "x"+c.want, c.lone)
		}
	}
}
