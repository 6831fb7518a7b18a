package control

import "strings"

// nearest returns the name that was probably meant: the only difference is the
// case, it begins alike, or it is at most a third of its length away. Empty if
// nothing is close.
func nearest(typed string, names []string) string {
	best, distance := "", len(typed)/3+1
	for _, n := range names {
		if strings.EqualFold(n, typed) {
			return n
		}
		if d := editDistance(typed, n); d < distance || (d == distance && best == "") {
			best, distance = n, d
		}
	}
	if best != "" || typed == "" {
		return best
	}
	for _, n := range names {
		if strings.HasPrefix(n, typed) {
			return n
		}
	}
	return ""
}

// editDistance is Levenshtein's, with a swap of neighbours as one change, in bytes.
func editDistance(a, b string) int {
	rows := [3][]int{}
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
	}
	before, last, this := rows[0], rows[1], rows[2]
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		this[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			this[j] = min(last[j]+1, this[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				this[j] = min(this[j], before[j-2]+1)
			}
		}
		before, last, this = last, this, before
	}
	return last[len(b)]
}
