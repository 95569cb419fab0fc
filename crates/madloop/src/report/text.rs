//! Numbers and text for readers.

/// Text for HTML and SVG: nothing in it can be taken for markup. Control characters other than line ends become spaces.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(letter),
            _ if letter.is_control() => out.push(' '),
            _ => out.push(letter),
        }
    }
    out
}

/// A number to `digits` significant digits: plain from 0.001 to a million, else with a power of ten.
pub(crate) fn number(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    if value == 0.0 {
        return "0".into();
    }
    let digits = digits.max(1);
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value.fract() == 0.0 && value.abs() < 1e6 {
        return minus(&format!("{value}"));
    }
    if (-3..6).contains(&exponent) {
        let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
        return minus(&format!("{value:.decimals$}"));
    }
    minus(&format!("{mantissa}×10{}", superscript(exponent)))
}

/// A number for a sentence.
pub(crate) fn short(value: f64) -> String {
    if (0.01..1.0).contains(&value.abs()) { minus(&format!("{value:.2}")) } else { number(value, 3) }
}

/// Two numbers for a sentence, with as many digits as it takes to tell them apart.
pub(crate) fn pair(a: f64, b: f64) -> (String, String) {
    let (mut texts, mut digits) = ((short(a), short(b)), 3);
    while a != b && texts.0 == texts.1 && digits < 8 {
        texts = (number(a, digits), number(b, digits));
        digits += 1;
    }
    texts
}

/// A number for data attributes: five significant digits, no ornament.
pub(crate) fn compact(value: f64) -> String {
    let rounded: f64 = format!("{value:.4e}").parse().unwrap_or(value);
    let (plain, scientific) = (format!("{rounded}"), format!("{rounded:e}"));
    if plain.len() <= scientific.len() { plain } else { scientific }
}

/// `10⁻³`'s little figures.
pub(crate) fn superscript(exponent: i32) -> String {
    exponent
        .to_string()
        .chars()
        .map(|c| match c {
            '-' => '⁻',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            other => other.to_digit(10).and_then(|d| char::from_u32(0x2070 + d)).unwrap_or(other),
        })
        .collect()
}

/// `1 seed`, `3 seeds`.
pub(crate) fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

/// The same text with its first letter in upper case.
pub(crate) fn sentence_case(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn minus(text: &str) -> String {
    text.replacen('-', "−", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(number(0.083_44, 3), "0.0834");
        assert_eq!(number(25.0, 3), "25");
        assert_eq!(number(-1.25e-5, 3), "−1.25×10⁻⁵");
        assert_eq!(number(1.5e7, 2), "1.5×10⁷");
        assert_eq!(number(0.0, 3), "0");
        assert_eq!(short(0.708), "0.71");
        assert_eq!(short(12.34), "12.3");
        assert_eq!(pair(0.701, 0.702), ("0.701".into(), "0.702".into()));
        assert_eq!(compact(0.123_456_7), "0.12346");
        assert_eq!(compact(1.0e-9), "1e-9");
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }

    #[test]
    fn markup_cannot_slip_in() {
        assert_eq!(escape("<script>\"&'\u{1}"), "&lt;script&gt;&quot;&amp;&#39; ");
    }
}
