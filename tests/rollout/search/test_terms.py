"""Terms and texts: what is found where, and that an index of letters never misses it."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.search.normalize import casefold, normalize, without_escapes
from rollout.search.snippet import AFTER, BEFORE, best_snippet, snippet
from rollout.search.terms import Matcher, Term, sentence_terms, terms_of
from tests.support.each import each

ALPHABET = "\x1b[m\xad\u200babAB  ._-*\"\n\té́ñßŒiİ東京ハ日한ไทย🦀👩\u200d👧ﬁ٣\0'’"
texts = st.text(alphabet=st.one_of(st.sampled_from(ALPHABET), st.characters()), max_size=40)
whole = texts.map(lambda text: text.replace("\x1b", ""))
"""Without commands of terminals, of which what follows may be a part."""


FINDS = [
    ("cafe", "Ein CAFÉ, bitte", True),
    ("café", "a cafe", True),
    ("caf", "a cafe", False),
    ("caf*", "a cafe", True),
    ("afe", "a cafe", False),
    ("ok", "ok?", True),
    ("a", "is a b", True),
    ("a", "as", False),
    ("東京", "日本の東京都", True),
    ("京", "東京", True),
    ("🦀", "a🦀b", True),
    ("strasse", "Hauptstraße 5: Straße", True),
    ('"big  cat"', "a big\ncat.", True),
    ('"big cat"', "big fat cat", False),
    ("cat big", "big fat cat", True),
    ("foo.bar", "see foo.bar()", True),
    ("foo_bar", "foo_bar", True),
    ("foo", "foo_bar", False),
    ('"big ca*"', "a big\ncat.", True),
    ('"big ca* "', "a big\ncat.", True),
    ('"big a*"', "a big\ncat.", False),
    ('"b* cat"', "a big\ncat.", False),
    ('"b* cat"', "a b* cat", True),
    ('"a *"', "a * b", True),
    ('"a *"', "as", False),
    ("foo.bar", "foo bar", False),
    ("foo", "see foo.bar()", True),
    ("total !=", "total != 3", True),
    ("total !=", "total = 3", False),
    ('"unfinished', "was unfinished", True),
    ("ﬁle", "FILE", True),
    ("redword", "a \x1b[31mREDWORD\x1b[0m", True),
    ("redword", "a RED\x1b[1;31mWORD", True),
    ("31m", "a \x1b[31mREDWORD\x1b[0m", False),
    ("shown", "\x1b]0;a title\x07shown", True),
    ("shown", "\x1b]0;cut off\nshown", True),
    ("\x1b[31mword", "a word", True),
    ("zerowidth", "zero\u200bwidth", True),
    ("softhyphen", "soft\u00adhyphen", True),
    ("zero\u200bwidth", "zerowidth", True),
    ("soft", "soft\u00adhyphen", False),
    ("Lodz", "Łódź", True),
    ("łódź", "LODZ", True),
    ("dakovo", "Đakovo", True),
    ("smorrebrod", "Smørrebrød", True),
    ("aeblegrod", "Æblegrød", True),
    ("oeuvre", "œuvre", True),
    ("irmak", "IRMAK ırmak", True),
    ("ırmak", "Irmak", True),
    ("istanbul", "İstanbul", True),
    ("gross", "GROẞ groß", True),
    ("thingvellir", "Þingvellir", True),
    ("hafidur", "Hafiður", True),
    ("habeas", "\u0127abeas", True),  # Maltese
    ("elk", "ёлк", False),
    ("елка", "ёлка", True),
    ("казак", "қазақ", True),
    ("αθηνα", "Αθήνα", True),
    ("tieng viet", "tiếng Việt", True),
    ("שלום", "שָׁלוֹם", True),
    ("שָׁלוֹם", "שלום", True),
    ("בראשית", "בְּרֵאשִׁ֖ית", True),
    ("محمد", "مُحَمَّدٌ", True),
    ("مُحَمَّد", "محمد", True),
    ("الرحمن", "ٱلرَّحْمَٰنِ", True),
    ("سلام", "ســــلام", True),
    ("احمد", "أحمد", True),
    ("हिन्दी", "यह हिन्दी है", True),
    ("हन्द", "हिन्दी", False),
    ("हिन", "हिन्दी", False),
    ("हिन*", "हिन्दी", True),
    ("कि", "की", False),
    ("कर", "कार", False),
    ("जरा", "ज़रा", True),
    ("தமிழ்", "தமிழ்", True),
    ("தமழ", "தமிழ்", False),
    ("กิน", "กิน", True),
    ("กน", "กิน", False),
    ("กุง", "กุ้ง", True),
    ("བོད", "བོད", True),
    ("བད", "བོད", False),
    ("かき", "がき", False),
    ("검색", unicodedata.normalize("NFD", "한국어 검색 기능"), True),
    (unicodedata.normalize("NFD", "검색"), "한국어 검색 기능", True),
    ("하", "한국", False),
    ("하", unicodedata.normalize("NFD", "한국"), False),
    ("한", "대한민국", True),
    ("하*", "하늘", True),
    ("ガキ", "ｶﾞｷ", True),
]


def test_a_query_finds() -> None:
    def check(case: tuple[str, str, bool]) -> None:
        query, text, found = case
        matcher = Matcher(terms_of(query))
        assert (len(matcher.found_in(casefold(text))) == len(matcher.terms)) is found

    each(FINDS, check)


def test_a_literal_term_is_found_inside_words() -> None:
    term = Term.of("ob-ar( ")
    assert term is not None
    assert Matcher([term]).found_in(casefold("FOOB-AR(1)"))
    assert not Matcher([term]).found_in(casefold("foob ar(1)"))


def test_a_query_without_letters_has_no_terms() -> None:
    for query in ("", "  ", '""', '" "', "\n", "!!!", '"..."', "*", "***", '"*"', '-- "" != "?!"'):
        assert terms_of(query) == [], query


WITHOUT_BLANKS = ("THAI", "LAO", "MYANMAR", "KHMER", "COMBINING KATAKANA", "IDEOGRAPHIC", "HANGUL")


def test_every_mark_is_an_accent_or_part_of_a_word() -> None:
    """Of all scripts with blanks in the Basic Multilingual Plane."""
    marks = [chr(code) for code in range(0x10000) if unicodedata.category(chr(code))[0] == "M"]
    matcher = Matcher(terms_of("k"))
    wrong = [
        unicodedata.name(mark)
        for mark in marks
        if casefold(mark)
        and matcher.found_in(casefold(f"k{mark}k"))
        and not unicodedata.name(mark).startswith(WITHOUT_BLANKS)
    ]
    assert wrong == []


@given(texts, texts, texts, st.booleans(), st.booleans())
def test_letters_of_a_text_hold_those_of_each_term_in_it(
    before: str, middle: str, after: str, begins: bool, ends: bool
) -> None:
    term = Term.of(middle, begins=begins, ends=ends)
    casefolded = casefold(before + middle + after)
    if term and Matcher([term]).found_in(casefolded):
        held = normalize(casefolded)
        assert all(piece in held for piece in term.trigrams())


@given(whole, texts.map(without_escapes), texts)
def test_a_text_is_found_in_whatever_holds_it(before: str, middle: str, after: str) -> None:
    term = Term.of(middle)
    goes_on = "\u1160" <= casefold(after)[:1] <= "\u11ff"  # a syllable of Hangul does
    if term and not goes_on:
        assert Matcher([term]).found_in(casefold(before + middle + after))


@given(texts, texts, texts)
def test_a_quick_look_at_a_line_misses_no_term(before: str, middle: str, after: str) -> None:
    term, text = Term.of(middle), before + middle + after
    if term is not None:
        matcher = Matcher([term])
        for line in (json.dumps(text), json.dumps(text, ensure_ascii=False), text):
            assert matcher.may_be_in(line.encode()) or not matcher.found_in(casefold(text))
    assert not Matcher([Term(("abc",), False, False)]).may_be_in(b'"AB C\\n"')


@given(texts, texts)
def test_spans_are_places_of_the_text_as_it_was_written(text: str, wanted: str) -> None:
    term = Term.of(wanted)
    if not term:
        return
    matcher = Matcher([term])
    spans = list(matcher.spans(text))
    assert bool(spans) == bool(matcher.found_in(casefold(text)))
    assert all(0 <= start < end <= len(text) for start, end in spans)
    for start, end in spans:
        assert matcher.found_in(casefold(text[start:end]))


@pytest.mark.parametrize(
    ("query", "text", "span"),
    [
        ("redword", "a \x1b[31mRED\x1b[1mWORD\x1b[0m", "RED\x1b[1mWORD"),
        ("zerowidth", "a zero\u200bwidth!", "zero\u200bwidth"),
        ("éa", "\x1b[2K\u00ade\u0301a b", "e\u0301a"),
    ],
)
def test_a_span_holds_what_nobody_sees_in_it(query: str, text: str, span: str) -> None:
    assert [text[start:end] for start, end in Matcher(terms_of(query)).spans(text)] == [span]


@given(whole, st.integers(0, 100))
def test_a_snippet_is_one_line_around_a_match(text: str, times: int) -> None:
    matcher = Matcher(terms_of("needle"))
    shown = snippet(f"{text * times} needle {text * times}", matcher)
    (start, end), *_ = shown.spans
    assert casefold(shown.text[start:end]) == "needle"
    assert len(shown.text) <= BEFORE + AFTER + len(" ... needle ... ")
    assert "\n" not in shown.text


def test_the_terms_of_a_sentence_have_no_punctuation_around_them() -> None:
    def shown(text: str) -> list[str]:
        return [" ".join(term.pieces) + "*" * (not term.ends) for term in sentence_terms(text)]

    assert shown("Why (and how) do we use `f(x)`, C++ or .env?!") == [
        *("why", "and", "how", "do", "we", "use", "f(x)", "c++", "or", ".env")
    ]
    assert shown('"as it is." --flag: key* Vec<T>; 日本語は？') == [
        *("as it is.", "--flag", "key*", "vec<t>", "日本語は")
    ]
    assert shown("?! ( ...") == []


def test_a_loose_term_has_any_ending() -> None:
    words = terms_of("caches keys it's boxes class key")
    loose = {term.pieces[0]: each for term in words for each in term.loosened}
    assert [loose["caches"].pieces, loose["caches"].ends] == [("cach",), False]
    assert [loose["boxes"].pieces, loose["class"].pieces] == [("boxes",), ("class",)]
    assert loose["keys"].pieces == ("keys",)
    assert loose["key"].ends
    assert loose["it's"].ends
    assert Matcher([loose["caches"]]).found_in("a cached one")
    (phrase,) = terms_of('"two words"')
    assert phrase.loosened == (phrase,)
    (japanese,) = terms_of("APIのデータを")
    parts = [term.pieces[0] for term in japanese.loosened]
    assert parts == [casefold(part) for part in ("api", "のデ", "デー", "ータ", "タを")]
    assert len(Matcher(japanese.loosened).found_in(casefold("apis でデータ"))) == 3


def test_the_best_snippet_is_where_most_of_the_terms_stand() -> None:
    terms = terms_of("the keyset cursor")
    text = (
        "the " * 50 + "keyset " + "x " * 100 + "of the cursor and the keyset, at last " + "y " * 90
    )
    shown = best_snippet(text, Matcher(terms), [1, 9, 9], BEFORE, 40)
    assert "the cursor and the keyset, at last" in shown.text
    assert [shown.text[start:end] for start, end in shown.spans][-3:] == ["cursor", "the", "keyset"]
    assert len(shown.text) < BEFORE + 60
    assert best_snippet("nothing", Matcher(terms), [1, 9, 9], BEFORE, 40).text == "nothing"
