package event

// Graft adds the value at node i of src, with all below it, as the next value
// of t. The bytes are copied. src must be another tree, finished and without
// error; what does not fit in t is told by [Tree.Err].
func (t *Tree) Graft(src *Tree, i int) {
	if t.err != nil {
		return
	}
	t.repaired = t.repaired || src.repaired
	switch src.Kind(i) {
	case Null:
		t.PutNull()
	case False, True:
		t.PutBool(src.Kind(i) == True)
	case Number:
		t.PutNumber(src.NumberText(i))
	case String:
		if text, ok := src.Plain(i); ok {
			t.PutString(text)
		} else {
			t.PutArenaText(src.AppendText(t.Arena(), i))
		}
	case Object:
		t.BeginObject()
		for c := i + 1; c < src.End(i); c = src.End(c) {
			t.PutKey(src.Key(c))
			t.Graft(src, c)
		}
		t.EndContainer()
	case Array:
		t.BeginArray()
		for c := i + 1; c < src.End(i); c = src.End(c) {
			t.Graft(src, c)
		}
		t.EndContainer()
	}
}
