package timestamp

const noYear = -1

// scan reads the parts of a time. Its methods return false when the text is
// not of their form; s.i then stands anywhere.
type scan struct {
	b                                      []byte
	i                                      int
	year, month, day, hour, minute, second int
	nano                                   int
	zoned                                  bool
	offset                                 int // seconds east of UTC
}

func (s *scan) restart() bool {
	*s = scan{b: s.b, year: noYear}
	return true
}

func (s *scan) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scan) accept(c byte) bool {
	if s.peek() != c || c == 0 {
		return false
	}
	s.i++
	return true
}

// spaces reads one or more blanks.
func (s *scan) spaces() bool {
	start := s.i
	for s.peek() == ' ' {
		s.i++
	}
	return s.i > start
}

// number reads at least low and at most high digits.
func (s *scan) number(low, high int) (int, bool) {
	v, start := 0, s.i
	for s.i < len(s.b) && s.i-start < high && s.b[s.i]-'0' <= 9 {
		v = v*10 + int(s.b[s.i]-'0')
		s.i++
	}
	return v, s.i-start >= low
}

func (s *scan) fixed(n int, into *int) bool {
	v, ok := s.number(n, n)
	*into = v
	return ok
}

var (
	months       = [12]string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
	monthsLong   = [12]string{"uary", "ruary", "ch", "il", "", "e", "y", "ust", "tember", "ober", "ember", "ember"}
	weekdays     = [7]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
	weekdaysLong = [7]string{"day", "sday", "nesday", "rsday", "day", "urday", "day"}
)

// word reads one of words without regard to case, with its longer form.
func (s *scan) word(words, long []string) int {
	if s.i+3 > len(s.b) {
		return -1
	}
	for n, w := range words {
		if fold(s.b[s.i:s.i+3], w) {
			s.i += 3
			if l := long[n]; len(l) > 0 && s.i+len(l) <= len(s.b) && fold(s.b[s.i:s.i+len(l)], l) {
				s.i += len(l)
			}
			return n
		}
	}
	return -1
}

// fold compares ASCII letters; lower is lower-case.
func fold(b []byte, lower string) bool {
	for i := range b {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func (s *scan) monthName() bool {
	s.month = s.word(months[:], monthsLong[:]) + 1
	return s.month > 0
}

// clock reads hh:mm:ss and a fraction; low is the least number of digits of
// the hour, and the seconds may be missing if that is allowed.
func (s *scan) clock(low int, secondsOptional bool) bool {
	var ok bool
	if s.hour, ok = s.number(low, 2); !ok || s.hour > 23 || !s.accept(':') || !s.fixed(2, &s.minute) || s.minute > 59 {
		return false
	}
	if s.peek() != ':' && secondsOptional {
		return true
	}
	// 60 is a leap second, which becomes the second behind it.
	if !s.accept(':') || !s.fixed(2, &s.second) || s.second > 60 {
		return false
	}
	s.fraction()
	return true
}

// fraction reads a fraction of a second, if there is one. Digits beyond
// nanoseconds are cut off.
func (s *scan) fraction() {
	if c := s.peek(); c != '.' && c != ',' || s.i+1 >= len(s.b) || s.b[s.i+1]-'0' > 9 {
		return
	}
	s.i++
	unit := 100_000_000
	for s.i < len(s.b) && s.b[s.i]-'0' <= 9 {
		s.nano += int(s.b[s.i]-'0') * unit
		unit /= 10
		s.i++
	}
}

// zone reads Z, UTC, GMT or an offset, with blanks before it, if there is one.
func (s *scan) zone() {
	start := s.i
	apart := s.spaces()
	rest := s.b[s.i:]
	switch {
	case len(rest) >= 3 && (string(rest[:3]) == "UTC" || string(rest[:3]) == "GMT") && (len(rest) == 3 || !alphanumeric(rest[3])):
		s.i += 3
		s.zoned = true
		return
	case len(rest) >= 1 && (rest[0] == 'Z' || rest[0] == 'z') && (len(rest) == 1 || !alphanumeric(rest[1])):
		s.i++
		s.zoned = true
		return
	case len(rest) >= 3 && (rest[0] == '+' || rest[0] == '-'):
		s.i++
		var hours, minutes int
		if s.fixed(2, &hours) && hours <= 23 {
			colon := s.accept(':')
			end := s.i
			if !s.fixed(2, &minutes) {
				s.i, minutes = end, 0
			}
			// Behind a blank, two digits alone may be anything.
			full := s.i > end
			if minutes <= 59 && (full || !colon && !apart) && (s.i == len(s.b) || !alphanumeric(s.b[s.i])) {
				s.offset = hours*3600 + minutes*60
				if rest[0] == '-' {
					s.offset = -s.offset
				}
				s.zoned = true
				return
			}
		}
	}
	s.i = start
}

// iso reads 2006-01-02, with a time of day if there is one.
func (s *scan) iso() bool {
	if !s.fixed(4, &s.year) {
		return false
	}
	sep := s.peek()
	if sep != '-' && sep != '/' {
		return false
	}
	s.i++
	if !s.fixed(2, &s.month) || !s.accept(sep) || !s.fixed(2, &s.day) {
		return false
	}
	end := s.i
	switch s.peek() {
	case 'T', 't', '_', ' ', ':':
		s.i++
		if s.clock(2, true) {
			s.zone()
			return true
		}
	}
	// A date alone, unless it was to be more.
	s.i, s.hour, s.minute, s.second, s.nano = end, 0, 0, 0, 0
	return true
}

// compact reads 20060102T150405 and 20060102150405.
func (s *scan) compact() bool {
	if !s.fixed(4, &s.year) || !s.fixed(2, &s.month) || !s.fixed(2, &s.day) {
		return false
	}
	if !s.accept('T') {
		s.accept('t')
	}
	if !s.fixed(2, &s.hour) || s.hour > 23 || !s.fixed(2, &s.minute) || s.minute > 59 || !s.fixed(2, &s.second) || s.second > 60 {
		return false
	}
	// Without punctuation, digits alone must look like a date of our times.
	if s.year < 1970 || s.year > 2099 {
		return false
	}
	s.fraction()
	s.zone()
	return true
}

// monthFirst reads Jan _2 15:04:05 with a year before or behind the time of
// day or none, and Jan 2, 2006 15:04:05.
func (s *scan) monthFirst() bool {
	if !s.monthName() || !s.spaces() {
		return false
	}
	var ok bool
	if s.day, ok = s.number(1, 2); !ok {
		return false
	}
	s.accept(',')
	if !s.spaces() {
		return false
	}
	// Four digits and a blank are a year; two and a colon an hour.
	start := s.i
	if year, ok := s.number(4, 4); ok && (s.accept(',') || s.peek() == ' ') {
		s.year = year
		s.spaces()
	} else {
		s.i = start
	}
	if !s.clock(1, false) {
		return false
	}
	s.meridiem()
	s.zone()
	if s.year == noYear {
		s.yearBehind()
	}
	return true
}

// yearBehind reads a year behind the time of day, and a zone behind that.
func (s *scan) yearBehind() {
	start := s.i
	if s.spaces() {
		if year, ok := s.number(4, 4); ok && year >= 1970 && year <= 2099 && (s.i == len(s.b) || s.b[s.i] == ' ' || s.b[s.i] == ']' || s.b[s.i] == ':') {
			s.year = year
			if !s.zoned {
				s.zone()
			}
			return
		}
	}
	s.i = start
}

// weekday reads a weekday and what stands behind it.
func (s *scan) weekday() bool {
	if s.word(weekdays[:], weekdaysLong[:]) < 0 {
		return false
	}
	s.accept(',')
	if !s.spaces() {
		return false
	}
	if c := s.peek(); c >= '0' && c <= '9' {
		return s.dayFirst()
	}
	return s.monthFirst()
}

// dayFirst reads 02/Jan/2006:15:04:05, 02-Jan-2006 15:04:05, 02 Jan 2006
// 15:04:05 and 02.01.2006 15:04:05.
func (s *scan) dayFirst() bool {
	var ok bool
	if s.day, ok = s.number(1, 2); !ok {
		return false
	}
	sep := s.peek()
	s.i++
	switch sep {
	case '/', '-', ' ':
		if !s.monthName() {
			return false
		}
	case '.':
		if !s.fixed(2, &s.month) {
			return false
		}
	default:
		return false
	}
	if !s.accept(sep) || !s.fixed(4, &s.year) {
		return false
	}
	switch s.peek() {
	case ':', ' ', 'T':
		s.i++
	default:
		return false
	}
	if !s.clock(1, sep == '.' || sep == ' ') {
		return false
	}
	s.meridiem()
	s.zone()
	return true
}

// american reads 1/2/2006 3:04:05 PM, and the same with the day first where
// the numbers leave no doubt.
func (s *scan) american() bool {
	first, ok := s.number(1, 2)
	if !ok || !s.accept('/') {
		return false
	}
	second, ok := s.number(1, 2)
	if !ok || !s.accept('/') || !s.fixed(4, &s.year) {
		return false
	}
	if !s.accept(',') && s.peek() != ' ' || !s.spaces() || !s.clock(1, true) {
		return false
	}
	switch {
	case s.meridiem(), second > 12, first == second:
		s.month, s.day = first, second
	case first > 12:
		s.month, s.day = second, first
	default:
		return false
	}
	s.zone()
	return true
}

// meridiem reads AM or PM, if it is there and fits the hour.
func (s *scan) meridiem() bool {
	start := s.i
	s.spaces()
	// Windows writes a narrow no-break space (U+202F) before it.
	if s.i+3 <= len(s.b) && string(s.b[s.i:s.i+3]) == "\u202f" {
		s.i += 3
	}
	rest := s.b[s.i:]
	if len(rest) < 2 || rest[1]|0x20 != 'm' || rest[0]|0x20 != 'a' && rest[0]|0x20 != 'p' || s.hour < 1 || s.hour > 12 {
		s.i = start
		return false
	}
	s.i += 2
	s.hour %= 12
	if rest[0]|0x20 == 'p' {
		s.hour += 12
	}
	return true
}
