// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"errors"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"freerdp-pnpdr/pnp/devtest/requirements"
)

// customer is the C bit of [MS-ERREF] 2.1.
const customer = 0x20000000

// facilities are constants that are a part of HRESULTs, not one.
var facilities = map[string]bool{"facilityWin32": true, "win32": true}

// hresultsOf calls found for each constant HRESULT in a package of this module,
// and returns how many there are. pnp is the checked package pnp, nil for itself.
func hresultsOf(t *testing.T, dir string, pnp *types.Package, found func(pos token.Position, value uint64)) (*types.Package, int) {
	t.Helper()
	set := token.NewFileSet()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	info := types.Info{Types: make(map[ast.Expr]types.TypeAndValue)}
	// Of what is imported only pnp matters: the rest may stay unknown.
	config := types.Config{Importer: only{pnp}, Error: func(error) {}, FakeImportC: true}
	checked, _ := config.Check(dir, set, files, &info)
	if pnp == nil {
		pnp = checked
	}
	n := 0
	for _, f := range files {
		var parents []ast.Node
		ast.Inspect(f, func(node ast.Node) bool {
			if node == nil {
				parents = parents[:len(parents)-1]
				return true
			}
			parents = append(parents, node)
			expr, ok := node.(ast.Expr)
			if !ok {
				return true
			}
			tv := info.Types[expr]
			named, ok := tv.Type.(*types.Named)
			if !ok || tv.Value == nil || named.Obj().Name() != "HRESULT" || named.Obj().Pkg() != pnp {
				return true
			}
			switch parent := parents[len(parents)-2].(type) {
			case *ast.BinaryExpr, *ast.ParenExpr: // a mask, a part
				return true
			case *ast.ValueSpec:
				if facilities[parent.Names[0].Name] {
					return true
				}
			}
			if value, exact := constant.Uint64Val(constant.ToInt(tv.Value)); exact {
				n++
				found(set.Position(expr.Pos()), value)
			}
			return true
		})
	}
	return checked, n
}

type only struct{ pnp *types.Package }

func (o only) Import(path string) (*types.Package, error) {
	if path == "freerdp-pnpdr/pnp" && o.pnp != nil {
		return o.pnp, nil
	}
	return nil, errors.New("not needed")
}

func init() {
	add("W-45", "what_windows_does_not_define_has_the_customer_bit", func(t *testing.T) {
		windows := make(map[uint64]string)
		for _, row := range requirements.ReadCSV(t, "testdata/hresults.csv") {
			value, err := strconv.ParseUint(row[1], 0, 32)
			if err != nil {
				t.Fatal(err)
			}
			windows[value] = row[0]
		}
		check := func(pos token.Position, value uint64) {
			if windows[value] == "" && value&customer == 0 {
				t.Errorf("%v: 0x%08X is neither Windows' (testdata/hresults.csv) nor a customer's", pos, value)
			}
		}
		const root = "../.."
		pnp, n := hresultsOf(t, filepath.Join(root, "pnp"), nil, check)
		if n < len(windows)/2 {
			t.Fatalf("only %d HRESULTs in pnp", n)
		}
		elsewhere := 0
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil || !d.IsDir():
				return err
			case path != root && strings.HasPrefix(d.Name(), "."), d.Name() == "testdata", d.Name() == "out":
				return fs.SkipDir
			}
			if path != filepath.Join(root, "pnp") {
				_, n := hresultsOf(t, path, pnp, check)
				elsewhere += n
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if elsewhere == 0 {
			t.Error("no HRESULT is used outside pnp: the test sees nothing")
		}
	})
}
