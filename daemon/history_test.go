package daemon

import (
	"fmt"
	"testing"
)

// A record that lasts keeps how it began and what came last.
func TestFollowupsKeepFirstAndLast(t *testing.T) {
	var list []Followup
	var copied []Followup
	for i := range 1000 {
		list = followed(list, Followup{What: fmt.Sprint(i)})
		if i == 500 {
			copied = list[:len(list):len(list)]
		}
	}
	if n := len(list); n != 48 || list[0].What != "0" || list[15].What != "15" || list[16].What != "968" || list[47].What != "999" {
		t.Errorf("%d follow-ups: %v", n, list)
	}
	if copied[47].What != "500" {
		t.Errorf("a copy was written to: %v", copied)
	}
}
