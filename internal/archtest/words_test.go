package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// banned are words that no identifier of the product has: each was invented for something that Kafka, Go or
// log/slog have a term for, or it had several meanings. Behind each word is what to say instead.
var banned = map[string]string{
	"agenda": "schedule", "blame": "setLastError", "buried": "deadLettered", "bury": "deadLetter",
	"burying": "deadLetter", "deal": "assign", "dealt": "assigned", "deed": "action", "deeds": "actions",
	"disown": "resetProducerID", "dissolve": "flatten", "doubt": "checkPendingJoin", "epitaph": "deadLetterHeaders",
	"farewell": "leaveTimeout", "foreign": "fromOtherGroup", "handover": "commitReserve", "happening": "event",
	"harvest": "snapshot", "heard": "handleHeartbeat", "hurried": "flushWaiters", "hurry": "cancelHandlers",
	"misled": "invalidateMetadata", "mortal": "cancellable", "news": "eventData", "patience": "a timeout",
	"poke": "wakeRouter", "regroup": "assignLeaders", "rouse": "wakeWorker", "settle": "the verb of what is done",
	"settled": "the state that is meant", "stamp": "producerID", "straggler": "lateRequest",
	"strangers": "incompatibleProtocol", "tell": "log, report or publish", "told": "logged", "trouble": "lastError",
	"unsure": "unacknowledged", "verdict": "outcome",
}

// bannedAlone are words that say nothing as a whole identifier: verbs without an object, and nouns with many meanings.
var bannedAlone = map[string]string{
	"again": "rereadDelay, or the verb that is repeated", "begin": "a verb with its object",
	"core": "what it holds", "follow": "what is followed", "gone": "removed or deleted", "listen": "what is received",
	"look": "compareSnapshot", "note": "recordError", "over": "closed or ended", "place": "partition or position",
	"places": "partitions",
	"room":   "bufferQuota", "take": "enqueue, reserve or next", "term": "generation",
}

// otherModules are the directories whose identifiers are not checked: modules that are no part of the product.
var otherModules = []string{"bench", "interop"}

// One word has one meaning, and the field's term where there is one: the words of the tables above do not come back.
func TestIdentifiersUseTheFieldsTerms(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && path != root {
			if name == "testdata" || strings.HasPrefix(name, ".") ||
				filepath.Dir(path) == root && slices.Contains(otherModules, name) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, id := range declared(file) {
			if instead := termFor(id.Name); instead != "" {
				t.Errorf("%s: the identifier %s: say %s", files.Position(id.Pos()), id.Name, instead)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTermFor(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"hurry": true, "tellLocked": true, "newsOf": true, "place": true, "replace": false, "placeholder": false,
		"takeUnsent": false, "retell": false, "lastTold": true, "HTTPNews": true,
	} {
		if got := termFor(name) != ""; got != want {
			t.Errorf("%s is refused: %v", name, got)
		}
	}
}

// termFor returns what to say instead of an identifier; "" when it is right.
func termFor(name string) string {
	if instead := bannedAlone[name]; instead != "" {
		return instead
	}
	for _, word := range wordsOf(name) {
		if instead := banned[word]; instead != "" {
			return instead
		}
	}
	return ""
}

// wordsOf returns the words of an identifier in lower case.
func wordsOf(name string) []string {
	var words []string
	letters, start := []rune(name), 0
	for i := 1; i <= len(letters); i++ {
		if i == len(letters) || unicode.IsUpper(letters[i]) &&
			(!unicode.IsUpper(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1])) {
			words = append(words, strings.ToLower(string(letters[start:i])))
			start = i
		}
	}
	return words
}

// declared returns the identifiers that a file declares: functions, types, fields, parameters, variables.
func declared(file *ast.File) []*ast.Ident {
	var all []*ast.Ident
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			all = append(all, n.Name)
		case *ast.TypeSpec:
			all = append(all, n.Name)
		case *ast.Field:
			all = append(all, n.Names...)
		case *ast.ValueSpec:
			all = append(all, n.Names...)
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				all = appendIdents(all, n.Lhs...)
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				all = appendIdents(all, n.Key, n.Value)
			}
		}
		return true
	})
	return all
}

func appendIdents(all []*ast.Ident, expressions ...ast.Expr) []*ast.Ident {
	for _, e := range slices.DeleteFunc(expressions, func(e ast.Expr) bool { return e == nil }) {
		if id, ok := e.(*ast.Ident); ok {
			all = append(all, id)
		}
	}
	return all
}
