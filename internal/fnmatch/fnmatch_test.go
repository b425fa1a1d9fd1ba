package fnmatch

import (
	"bufio"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestPython runs every line that was recorded from the Python package. The lines that differ by our two decisions are
// known by rule: Python read the pattern as one literal name although it has meta characters, or the prefix acted as
// part of the pattern.
func TestPython(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/fnmatch.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines, asPattern, literalPrefix, differ int
	for in := bufio.NewScanner(f); in.Scan(); lines++ {
		var line struct {
			Pattern, Prefix, Topic, Mode string
			Matches                      bool
		}
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		p, err := Compile(line.Prefix, line.Pattern)
		if err != nil {
			t.Errorf("%s: %v", in.Text(), err)
			continue
		}
		want := line.Matches
		switch {
		case line.Mode == "topic" && HasMeta(line.Pattern):
			asPattern++
			want = reference(line.Prefix, line.Pattern).MatchString(line.Topic)
		case line.Mode == "pattern" && HasMeta(line.Prefix):
			literalPrefix++
			want = reference(line.Prefix, line.Pattern).MatchString(line.Topic)
		}
		if want != line.Matches {
			differ++
		}
		if got := p.Match(line.Topic); got != want {
			t.Errorf("%s: got %v, want %v", in.Text(), got, want)
		}
	}
	if lines != 303 || asPattern == 0 || literalPrefix == 0 || differ == 0 {
		t.Errorf("read %d lines, %d by our pattern rule, %d by our prefix rule, %d of them differ", lines, asPattern,
			literalPrefix, differ)
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, prefix, pattern, topic string
		want                         bool
	}{
		{"question mark without star", "", "content.?", "content.a", true},
		{"question mark is one character", "", "content.?", "content.ab", false},
		{"set without star", "", "content.[ab]", "content.b", true},
		{"set is no literal", "", "content.[ab]", "content.[ab]", false},
		{"star in prefix is literal", "p*", "a*", "p*a", true},
		{"star in prefix does not act", "p*", "a*", "pxa", false},
		{"open bracket in prefix is literal", "p[", "a]*", "p[a]", true},
		{"open bracket in prefix does not act", "p[", "a]*", "pa", false},
		{"literal pattern", "dev.", "content.edited", "dev.content.edited", true},
		{"literal pattern without prefix", "dev.", "content.edited", "content.edited", false},
		{"one character of several bytes", "", "[ä-ü]?", "öß", true},
		{"broken UTF-8 is one character a byte", "", "a?b", "a\xffb", true},
		{"star gives back", "", "*ab*abc", "xabyababc", true},
		{"star and nothing after it", "", "a*b", "aab.b.", false},
		{"exclamation mark moved to the front", "", "[c-a!x]", "b", true},
		{"exclamation mark moved before a range", "", "[c-a!-z]", "-", false},
		{"negated reversed range is any character", "", "[!z-a]", "q", true},
		{"hyphen behind a range", "", "[a-c-e]", "-", true},
		{"range that ends at a hyphen", "", "[+--]", ",", true},
		{"empty pattern", "dev.", "", "dev.", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := Compile(tt.prefix, tt.pattern)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Match(tt.topic); got != tt.want {
				t.Errorf("Compile(%q, %q).Match(%q) = %v, want %v", tt.prefix, tt.pattern, tt.topic, got, tt.want)
			}
		})
	}
}

func TestPatternLength(t *testing.T) {
	t.Parallel()
	if _, err := Compile(strings.Repeat("p", 300), strings.Repeat("ä", MaxPattern)); err != nil {
		t.Errorf("a pattern of %d characters is refused: %v", MaxPattern, err)
	}
	_, err := Compile("", strings.Repeat("*", MaxPattern+1))
	if err == nil || !strings.Contains(err.Error(), "257") || !strings.Contains(err.Error(), "256") {
		t.Errorf("error %v does not say how long the pattern is and may be", err)
	}
}

// TestWork counts steps instead of time: patterns that take a backtracking matcher for ever cost no more than the
// product of the lengths.
func TestWork(t *testing.T) {
	t.Parallel()
	topic := strings.Repeat("a", 249)
	for _, tt := range []struct {
		pattern string
		most    int
	}{
		{"*a*a*a*a*b", 3 * 249},
		{strings.Repeat("*a", 128), 3 * 249},
		{strings.Repeat("*a", 127) + "*b", 3 * 249},
		{"*" + strings.Repeat("a", 127) + "b", 249 * 129},
		{strings.Repeat("?", 200) + "*" + strings.Repeat("[!b]", 13) + "b", 249 * 256},
	} {
		p, err := Compile("", tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if _, steps := match(p.ops, topic); steps > tt.most {
			t.Errorf("%s: %d steps, want at most %d", tt.pattern, steps, tt.most)
		}
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	p, err := Compile("dev.", "*a[b-d]?*e")
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { p.Match("dev.content.abcd.edite") }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func FuzzMatch(f *testing.F) {
	for _, seed := range [][3]string{
		{"dev.", "content.*", "dev.content.a"}, {"", "[c-a!-z]", "-"}, {"", "[a--c]*", "c"}, {"p[", "[]-a][!]]*?", "p[^x"},
		{"", "[!", "[!"}, {"", "*a*a*b", "aaab"}, {"", "[a-c-]", "-"}, {"", "[\\]", "\\"}, {"", "[[:alpha:]]", "a]"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, prefix, pattern, topic string) {
		p, err := Compile(prefix, pattern)
		if err != nil || !utf8.ValidString(prefix) || !utf8.ValidString(pattern) {
			return // it is too long, or cannot be written as a regular expression
		}
		for _, name := range []string{topic, prefix + topic} {
			if got, want := p.Match(name), reference(prefix, pattern).MatchString(name); got != want {
				t.Errorf("Compile(%q, %q).Match(%q) = %v, want %v", prefix, pattern, name, got, want)
			}
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	p, err := Compile("", "*a*a*a*a*b")
	if err != nil {
		b.Fatal(err)
	}
	topic := strings.Repeat("a", 249)
	for b.Loop() {
		p.Match(topic)
	}
}

// reference translates the pattern into a regular expression, line by line as CPython's fnmatch.translate does. It is
// slow and shares nothing with the matcher. What a regular expression would take for its own in a set is escaped at the
// end instead of on the way.
func reference(prefix, pattern string) *regexp.Regexp {
	if !HasMeta(pattern) {
		return regexp.MustCompile(`\A` + regexp.QuoteMeta(prefix+pattern) + `\z`)
	}
	pat := []rune(pattern)
	find := func(c rune, from, to int) int {
		for ; from < to; from++ {
			if pat[from] == c {
				return from
			}
		}
		return -1
	}
	var re strings.Builder
	re.WriteString(`(?s)\A` + regexp.QuoteMeta(prefix))
	for i, n := 0, len(pat); i < n; {
		c := pat[i]
		i++
		switch c {
		case '*':
			re.WriteString(".*")
		case '?':
			re.WriteString(".")
		case '[':
			j := i
			if j < n && pat[j] == '!' {
				j++
			}
			if j < n && pat[j] == ']' {
				j++
			}
			for j < n && pat[j] != ']' {
				j++
			}
			if j >= n {
				re.WriteString(`\[`)
				continue
			}
			var chunks []string
			k := i + 1
			if pat[i] == '!' {
				k = i + 2
			}
			for {
				if k = find('-', k, j); k < 0 {
					break
				}
				chunks = append(chunks, string(pat[i:k]))
				i = k + 1
				k += 3
			}
			if chunk := string(pat[i:j]); chunk != "" {
				chunks = append(chunks, chunk)
			} else {
				chunks[len(chunks)-1] += "-"
			}
			for k := len(chunks) - 1; k > 0; k-- {
				a, b := []rune(chunks[k-1]), []rune(chunks[k])
				if a[len(a)-1] > b[0] {
					chunks[k-1] = string(a[:len(a)-1]) + string(b[1:])
					chunks = append(chunks[:k], chunks[k+1:]...)
				}
			}
			for k := range chunks {
				chunks[k] = setEscaper.Replace(chunks[k])
			}
			stuff := strings.Join(chunks, "-")
			i = j + 1
			switch {
			case stuff == "":
				re.WriteString(`[^\x00-\x{10FFFF}]`)
			case stuff == "!":
				re.WriteString(".")
			case stuff[0] == '!':
				re.WriteString("[^" + stuff[1:] + "]")
			default:
				re.WriteString("[" + stuff + "]")
			}
		default:
			re.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	re.WriteString(`\z`)
	return regexp.MustCompile(re.String())
}

var setEscaper = strings.NewReplacer(`\`, `\\`, `-`, `\-`, `[`, `\[`, `]`, `\]`, `^`, `\^`)

func TestImpossible(t *testing.T) {
	t.Parallel()
	const alphabet = "abc."
	for _, tt := range []struct {
		pattern, part string
		shortest      int
	}{
		{"", "", 0}, {"a.b", "", 3}, {"*", "", 0}, {"a*?[ax]**", "", 3}, {"[!x]", "", 1},
		{"^a*", "^", 0}, {"a/b", "/", 0}, {" a", " ", 0}, {"x[", "x", 0}, {"a[", "[", 0}, {"{a,b}", "{", 0},
		{"a[xy]*", "[xy]", 0}, {"a[c-a]", "[c-a]", 0}, {"a[!a-c.]", "[!a-c.]", 0}, {"[*]", "[*]", 0},
		{"a\u00e9", "\u00e9", 0},
	} {
		part, shortest := Impossible(tt.pattern, alphabet)
		if part != tt.part || part == "" && shortest != tt.shortest {
			t.Errorf("Impossible(%q) = %q, %d, want %q, %d", tt.pattern, part, shortest, tt.part, tt.shortest)
		}
	}
}
