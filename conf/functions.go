package conf

import (
	"fmt"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// builtin is one function of the language with its line of documentation.
type builtin struct {
	name         string
	fn           function.Function
	doc, example string
}

// builtins are the functions an expression may call. All are pure but env,
// which asks getenv.
func builtins(getenv func(string) (string, bool)) []builtin {
	return []builtin{
		{"env", envFunction(getenv), "the environment variable NAME; without a default, an unset one is an error", `env("NAME")`},
		{"env", function.Function{}, "the same, with a default for an unset one", `env("NAME", "default")`},
		{"concat", stdlib.ConcatFunc, "one list from several", `concat(["10.0.0.1"], ["10.0.0.2"])`},
		{"format", stdlib.FormatFunc, "text from a pattern as of printf", `format("10.0.%d.1", 5)`},
		{"join", stdlib.JoinFunc, "text from a list, with a separator", `join(",", ["a", "b"])`},
		{"length", stdlib.LengthFunc, "the number of elements", `length(["a", "b"])`},
		{"lookup", stdlib.LookupFunc, "an element by its key, or a default", `lookup({ web1 = 150 }, node.name, 100)`},
		{"lower", stdlib.LowerFunc, "text in small letters", `lower("WEB1")`},
		{"merge", stdlib.MergeFunc, "one map from several; the later ones win", `merge({ a = 1 }, { b = 2 })`},
		{"split", stdlib.SplitFunc, "a list from text, by a separator", `split(",", env("ADDRESSES", "10.0.0.1"))`},
		{"tonumber", toNumber(), "a number from text", `tonumber("61")`},
		{"tostring", stdlib.MakeToFunc(cty.String), "text from a number", `tostring(61)`},
		{"try", tryfunc.TryFunc, "the first of its arguments that can be evaluated", `try({ web1 = 150 }[node.name], 100)`},
		{"upper", stdlib.UpperFunc, "text in capital letters", `upper("web1")`},
	}
}

func functionTable(getenv func(string) (string, bool)) map[string]function.Function {
	out := make(map[string]function.Function)
	for _, b := range builtins(getenv) {
		if _, ok := out[b.name]; !ok {
			out[b.name] = b.fn
		}
	}
	return out
}

// envFunction is env(name[, default]).
func envFunction(getenv func(string) (string, bool)) function.Function {
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "name", Type: cty.String}},
		VarParam: &function.Parameter{Name: "default", Type: cty.String},
		Type:     function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name := args[0].AsString()
			if len(args) > 2 {
				return cty.NilVal, function.NewArgErrorf(2, "env takes a name and at most one default")
			}
			if getenv != nil {
				if v, ok := getenv(name); ok {
					return cty.StringVal(v), nil
				}
			}
			if len(args) == 2 {
				return args[1], nil
			}
			return cty.NilVal, fmt.Errorf("environment variable %s is not set; set it for the daemon (and for backbeat check), or give a default: env(%q, \"…\")", name, name)
		},
	})
}
