"""What is made one by one is made anew where an element is another object, and stays the same object where it comes out equal."""

from console.observe.made import Made


def test_only_what_changed_is_made_again():
    made, asked = Made(), []

    def length(name, words):
        asked.append(name)
        return len(words)

    one, two = ["a"], ["b", "c"]
    first = made.each("length", ({"one": one, "two": two},), length)
    assert first == {"one": 1, "two": 2}
    asked.clear()

    second = made.each("length", ({"one": one, "two": ["b", "c", "d"]},), length)
    assert second == {"one": 1, "two": 3}
    assert asked == ["two"]
    assert first == {"one": 1, "two": 2}


def test_what_comes_out_equal_is_the_same_whole():
    made = Made()
    first = made.each("length", ({"one": ["a"]},), lambda _, words: len(words))
    assert made.each("length", ({"one": ["b"]},), lambda _, words: len(words)) is first
    assert made.each("length", ({"one": ["b", "c"]},), lambda _, words: len(words)) == {"one": 2}


def test_another_part_makes_everything_again_and_keys_come_and_go():
    made = Made()
    one, two, silent, loud = ["a"], ["b"], (), ("!",)
    make = lambda mark: lambda name, words: [name, *words, *mark]  # noqa: E731 - what is made depends on the part
    assert made.each("words", ({"one": one, "two": two},), make(silent), parts=(silent,)) == {"one": ["one", "a"], "two": ["two", "b"]}  # fmt: skip
    assert made.each("words", ({"two": two},), make(loud), parts=(loud,)) == {"two": ["two", "b", "!"]}
    found = made.each("words", ({"two": two, "one": one},), make(loud), parts=(loud,))
    assert found == {"two": ["two", "b", "!"], "one": ["one", "a", "!"]}
    assert list(found) == ["two", "one"]


def test_an_element_of_any_source_counts():
    made = Made()
    left = {"one": [1]}
    assert made.each("sum", (left, {"one": [2]}), lambda _, a, b: a[0] + b[0]) == {"one": 3}
    assert made.each("sum", (left, {"one": [5]}), lambda _, a, b: a[0] + b[0]) == {"one": 6}
