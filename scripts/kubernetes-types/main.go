// Prints the protobuf layout of every object that Kubernetes' own API groups let a client write: field numbers, names in JSON and
// types, read from the struct tags of k8s.io/api. Run by scripts/kubernetes-types.ts. It stops at a type that it does not know.
package main

import (
	"fmt"
	"reflect"
	"sort"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
)

// Types that are written in JSON in a way of their own.
var special = map[string]string{
	"k8s.io/apimachinery/pkg/apis/meta/v1.Time":       "T",
	"k8s.io/apimachinery/pkg/apis/meta/v1.MicroTime":  "U",
	"k8s.io/apimachinery/pkg/apis/meta/v1.FieldsV1":   "F",
	"k8s.io/apimachinery/pkg/api/resource.Quantity":   "Q",
	"k8s.io/apimachinery/pkg/util/intstr.IntOrString": "I",
	"k8s.io/apimachinery/pkg/runtime.RawExtension":    "R",
}

type marshaler interface{ Marshal() ([]byte, error) }
type jsonMarshaler interface{ MarshalJSON() ([]byte, error) }

var numbers = map[reflect.Type]int{}
var lines []string

func full(t reflect.Type) string { return t.PkgPath() + "." + t.Name() }

func has[T any](t reflect.Type) bool {
	wanted := reflect.TypeOf((*T)(nil)).Elem()
	return t.Implements(wanted) || reflect.PointerTo(t).Implements(wanted)
}

func kindOf(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		return kindOf(t.Elem())
	}
	if letter, ok := special[full(t)]; ok {
		return letter
	}
	if has[jsonMarshaler](t) {
		panic("JSON of its own: " + full(t))
	}
	switch t.Kind() {
	case reflect.String:
		return "s"
	case reflect.Bool:
		return "o"
	case reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint32:
		return "i"
	case reflect.Struct:
		return fmt.Sprint(message(t))
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "b"
		}
		// A list that is a message of its own, with its elements in field 1.
		if t.Name() != "" && has[marshaler](t) {
			return "L" + kindOf(t.Elem())
		}
		return "+" + kindOf(t.Elem())
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			panic("a key that is no text: " + t.String())
		}
		return "%" + kindOf(t.Elem())
	}
	panic("unknown: " + t.String())
}

func message(t reflect.Type) int {
	if number, ok := numbers[t]; ok {
		return number
	}
	number := len(lines)
	numbers[t] = number
	lines = append(lines, "")
	var fields []string
	for i := 0; i < t.NumField(); i++ {
		field := t.Field(i)
		tag := field.Tag.Get("protobuf")
		if tag == "" || tag == "-" {
			if full(field.Type) != "k8s.io/apimachinery/pkg/apis/meta/v1.TypeMeta" {
				panic("no protobuf: " + full(t) + "." + field.Name)
			}
			continue
		}
		parts := strings.Split(tag, ",")
		json := strings.Split(field.Tag.Get("json"), ",")
		// The tags name a wire type too, and some name a wrong one (DeleteOptions.propagationPolicy): the type decides.
		kind := kindOf(field.Type)
		isInline := field.Anonymous && json[0] == ""
		if json[0] == "" && !isInline {
			panic("no name: " + full(t) + "." + field.Name)
		}
		// What Go leaves out of JSON when it is empty.
		empty := ""
		switch field.Type.Kind() {
		case reflect.String, reflect.Bool, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint32, reflect.Slice:
			if strings.Contains(field.Tag.Get("json"), "omitempty") && !strings.HasPrefix(kind, "+") {
				empty = "?"
			}
		}
		fields = append(fields, json[0]+":"+parts[1]+":"+kind+empty)
	}
	lines[number] = strings.Join(fields, ",")
	return number
}

func main() {
	kinds := map[string]reflect.Type{"*/DeleteOptions": reflect.TypeOf(metav1.DeleteOptions{})}
	for gvk, t := range scheme.Scheme.AllKnownTypes() {
		if gvk.Version == "__internal" || t.PkgPath() == "k8s.io/apimachinery/pkg/apis/meta/v1" || strings.HasSuffix(gvk.Kind, "List") {
			continue
		}
		kinds[gvk.GroupVersion().String()+"/"+gvk.Kind] = t
	}
	names := make([]string, 0, len(kinds))
	for name := range kinds {
		names = append(names, name)
	}
	sort.Strings(names)
	var known []string
	for _, name := range names {
		if !has[marshaler](kinds[name]) {
			continue
		}
		known = append(known, fmt.Sprintf("%s=%d", name, message(kinds[name])))
	}
	fmt.Println(strings.Join(known, "\n"))
	fmt.Println("--")
	fmt.Println(strings.Join(lines, "\n"))
}
