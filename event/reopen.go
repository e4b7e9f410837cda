package event

// Reopen takes back the end of the root object, so that further members can be
// added to a finished tree (what a pack parses out of its text); EndContainer
// ends it again. It reports false, and changes nothing, when the root is not
// an object or the tree is not finished.
func (t *Tree) Reopen() bool {
	if len(t.nodes) == 0 || len(t.open) != 0 || t.nodes[0].kind != Object {
		return false
	}
	members := uint32(0)
	for c := 1; c < len(t.nodes); c = t.End(c) {
		members++
	}
	t.shape = t.shape[:len(t.shape)-1]
	t.open = append(t.open, 0)
	t.count = append(t.count, members)
	return true
}
