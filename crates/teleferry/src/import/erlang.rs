//! Terms of Erlang, as they stand in its configuration files.
//!
//! Lists, tuples, maps, atoms, numbers, strings and binaries that hold a string; comments begin with `%`. Nothing that would
//! have to be evaluated. A file is at most [`super::MAX_FILE`] bytes long, and nesting is bounded.

use super::Problem;
use super::scan::{MAX_DEPTH, Scanner};
use super::value::{Kind, Value};

/// Reads a file of terms, each ended by a full stop.
pub(super) fn parse(text: &str) -> Result<Vec<Value>, Problem> {
    let mut parser = Parser { scanner: Scanner::new(text), depth: 0 };
    let mut terms = Vec::new();
    parser.skip_blank();
    while parser.scanner.peek().is_some() {
        terms.push(parser.term()?);
        parser.skip_blank();
        if !parser.scanner.take(".") {
            return Err(parser.scanner.problem("a full stop is missing behind the term"));
        }
        parser.skip_blank();
    }
    Ok(terms)
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    depth: usize,
}

impl Parser<'_> {
    fn skip_blank(&mut self) {
        loop {
            self.scanner.take_while(char::is_whitespace);
            if !self.scanner.take("%") {
                return;
            }
            self.scanner.take_while(|c| c != '\n');
        }
    }

    fn term(&mut self) -> Result<Value, Problem> {
        self.skip_blank();
        if self.depth >= MAX_DEPTH {
            return Err(self.scanner.problem("this is nested too deeply"));
        }
        self.depth += 1;
        let start = self.scanner.at();
        let kind = self.kind();
        self.depth -= 1;
        Ok(Value::new(kind?, start..self.scanner.at()))
    }

    fn kind(&mut self) -> Result<Kind, Problem> {
        match self.scanner.peek() {
            Some('[') => self.elements("[", "]").map(Kind::List),
            Some('{') => self.elements("{", "}").map(Kind::Tuple),
            Some('#') => self.map(),
            Some('<') => self.binary(),
            Some('"') => self.string().map(Kind::Text),
            Some('\'') => self.quoted('\'').map(Kind::Word),
            Some('$') => self.character(),
            Some(c) if c.is_ascii_digit() || c == '-' || c == '+' => self.number(),
            Some(c) if c.is_lowercase() => Ok(self.atom()),
            Some(c) if c.is_uppercase() || c == '_' => {
                Err(self.scanner.problem("this is a variable, and nothing says what it holds"))
            }
            Some(_) => Err(self.scanner.problem("this is no term of Erlang")),
            None => Err(self.scanner.problem("the file ends within a term")),
        }
    }

    fn atom(&mut self) -> Kind {
        let name = self.scanner.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '@'));
        match name {
            "true" => Kind::Flag(true),
            "false" => Kind::Flag(false),
            name => Kind::Word(name.to_owned()),
        }
    }

    /// What stands between two brackets.
    fn elements(&mut self, open: &str, close: &str) -> Result<Vec<Value>, Problem> {
        self.scanner.take(open);
        let mut elements = Vec::new();
        self.skip_blank();
        if self.scanner.take(close) {
            return Ok(elements);
        }
        loop {
            elements.push(self.term()?);
            self.end_of_element(close)?;
            if self.scanner.take(close) {
                return Ok(elements);
            }
            self.scanner.take(",");
        }
    }

    /// Behind an element there is a comma or the closing bracket.
    fn end_of_element(&mut self, close: &str) -> Result<(), Problem> {
        self.skip_blank();
        let rest = self.scanner.rest();
        if rest.starts_with(',') || rest.starts_with(close) {
            return Ok(());
        }
        Err(self.scanner.problem(format!("a comma or {close} is missing here")))
    }

    fn map(&mut self) -> Result<Kind, Problem> {
        if !self.scanner.take("#{") {
            return Err(self.scanner.problem("this is no map: it begins with #{"));
        }
        let mut entries = Vec::new();
        self.skip_blank();
        if self.scanner.take("}") {
            return Ok(Kind::Map(entries));
        }
        loop {
            let key = self.term()?;
            self.skip_blank();
            if !self.scanner.take("=>") {
                return Err(self.scanner.problem("=> is missing behind the key"));
            }
            entries.push((key, self.term()?));
            self.end_of_element("}")?;
            if self.scanner.take("}") {
                return Ok(Kind::Map(entries));
            }
            self.scanner.take(",");
        }
    }

    /// `<<"text">>`, or an empty one.
    fn binary(&mut self) -> Result<Kind, Problem> {
        if !self.scanner.take("<<") {
            return Err(self.scanner.problem("this is no binary: it begins with <<"));
        }
        self.skip_blank();
        let text = if self.scanner.peek() == Some('"') { self.string()? } else { String::new() };
        self.skip_blank();
        self.scanner.take("/utf8");
        self.skip_blank();
        if !self.scanner.take(">>") {
            return Err(self.scanner.problem("only binaries that hold one string are read"));
        }
        Ok(Kind::Text(text))
    }

    /// Strings that stand side by side are one.
    fn string(&mut self) -> Result<String, Problem> {
        let mut text = self.quoted('"')?;
        loop {
            let end = self.scanner.clone();
            self.skip_blank();
            if self.scanner.peek() != Some('"') {
                self.scanner = end;
                return Ok(text);
            }
            text.push_str(&self.quoted('"')?);
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, Problem> {
        let start = self.scanner.clone();
        self.scanner.next();
        let mut text = String::new();
        loop {
            match self.scanner.next() {
                None => return Err(start.problem("this quotation does not end")),
                Some('\\') => text.push(self.escape()?),
                Some(c) if c == quote => return Ok(text),
                Some(c) => text.push(c),
            }
        }
    }

    /// What a backslash stands for. The rare forms are not read.
    fn escape(&mut self) -> Result<char, Problem> {
        match self.scanner.peek() {
            Some(c @ ('"' | '\'' | '\\')) => {
                self.scanner.next();
                Ok(c)
            }
            Some('n') => {
                self.scanner.next();
                Ok('\n')
            }
            Some('t') => {
                self.scanner.next();
                Ok('\t')
            }
            Some('s') => {
                self.scanner.next();
                Ok(' ')
            }
            _ => Err(self.scanner.problem("this form of backslash is not read")),
        }
    }

    /// `$c`
    fn character(&mut self) -> Result<Kind, Problem> {
        self.scanner.take("$");
        let c = if self.scanner.take("\\") { Some(self.escape()?) } else { self.scanner.next() };
        let c = c.ok_or_else(|| self.scanner.problem("the file ends within a term"))?;
        Ok(Kind::Number(i64::from(u32::from(c))))
    }

    fn number(&mut self) -> Result<Kind, Problem> {
        let start = self.scanner.clone();
        let negative = self.scanner.take("-");
        if !negative {
            self.scanner.take("+");
        }
        let mut written = String::from(if negative { "-" } else { "" });
        let digits = self.scanner.take_while(|c| c.is_ascii_digit() || c == '_');
        written.push_str(&digits.replace('_', ""));
        // A full stop with a digit behind it is a fraction's; any other ends the term.
        let mut ahead = self.scanner.rest().chars();
        if ahead.next() == Some('.') && ahead.next().is_some_and(|c| c.is_ascii_digit()) {
            written.push_str(
                self.scanner.take_while(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '-')),
            );
            let fraction = written.parse().map_err(|_| start.problem("this is no number"))?;
            return Ok(Kind::Fraction(fraction));
        }
        if self.scanner.rest().starts_with(['#', 'e', 'E']) {
            return Err(start.problem("numbers are read in decimal digits only"));
        }
        written.parse().map(Kind::Number).map_err(|_| start.problem("this is no number, or too large a one"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The term as Erlang would write it.
    fn write(value: &Value) -> String {
        let all = |elements: &[Value]| elements.iter().map(write).collect::<Vec<_>>().join(" , ");
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\'', "\\'");
        match &value.kind {
            Kind::Nothing | Kind::Computed => unreachable!("there is none in Erlang"),
            Kind::Flag(flag) => flag.to_string(),
            Kind::Number(number) => number.to_string(),
            Kind::Fraction(fraction) => format!("{fraction:?}"),
            Kind::Text(text) => format!("<<\"{}\">>", escaped(text)),
            Kind::Word(word) => format!("'{}'", escaped(word)),
            Kind::List(elements) => format!("[{}]", all(elements)),
            Kind::Tuple(elements) => format!("{{{}}}", all(elements)),
            Kind::Map(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| format!("{} => {}", write(key), write(value)))
                    .collect();
                format!("#{{{}}} %% a comment\n", entries.join(","))
            }
        }
    }

    fn without_places(value: &Value) -> Value {
        let all = |elements: &[Value]| elements.iter().map(without_places).collect();
        let kind = match &value.kind {
            Kind::List(elements) => Kind::List(all(elements)),
            Kind::Tuple(elements) => Kind::Tuple(all(elements)),
            Kind::Map(entries) => Kind::Map(
                entries.iter().map(|(key, value)| (without_places(key), without_places(value))).collect(),
            ),
            other => other.clone(),
        };
        Value::new(kind, 0..0)
    }

    fn terms() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Kind::Flag),
            any::<i64>().prop_map(Kind::Number),
            (-1e6..1e6_f64).prop_map(|f| Kind::Fraction((f * 8.0).round() / 8.0)),
            "[ -~]{0,12}".prop_map(Kind::Text),
            "[a-zA-Z0-9 '\\\\]{0,8}".prop_map(Kind::Word),
        ]
        .prop_map(|kind| Value::new(kind, 0..0));
        leaf.prop_recursive(5, 40, 5, |inner| {
            let many = proptest::collection::vec(inner.clone(), 0..5);
            let pairs = proptest::collection::vec((inner.clone(), inner), 0..4);
            prop_oneof![
                many.clone().prop_map(Kind::List),
                many.prop_map(Kind::Tuple),
                pairs.prop_map(Kind::Map),
            ]
            .prop_map(|kind| Value::new(kind, 0..0))
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(term in terms()) {
            let read = parse(&format!("% first\n{} .\n", write(&term))).expect("a term");
            prop_assert_eq!(read.iter().map(without_places).collect::<Vec<_>>(), vec![term]);
        }

        #[test]
        fn no_text_is_too_much(text in "[\\[\\]{}#<>\"'$%.,=a-zA-Z0-9_ \\\\\n-]{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn nor_is_any_other(text in ".{0,100}") {
            let _ = parse(&text);
        }
    }

    #[test]
    fn strings_side_by_side_are_one_and_characters_are_numbers() {
        let read = parse("{\"a\" \"b\", $a, <<>>, <<\"x\"/utf8>>, 1_000}.").expect("a term");
        let kinds: Vec<_> =
            read[0].as_tuple().expect("a tuple").iter().map(|value| value.kind.clone()).collect();
        let text = |text: &str| Kind::Text(text.to_owned());
        assert_eq!(kinds, [text("ab"), Kind::Number(97), text(""), text("x"), Kind::Number(1000)]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, at, told) in [
            ("[a b].", 3, "a comma or ] is missing here"),
            ("[a]", 3, "a full stop is missing behind the term"),
            ("{Name}.", 1, "this is a variable, and nothing says what it holds"),
            ("[\"abc].", 1, "this quotation does not end"),
            ("<<1, 2>>.", 2, "only binaries that hold one string are read"),
            ("16#ff.", 0, "numbers are read in decimal digits only"),
            ("#{a = 1}.", 4, "=> is missing behind the key"),
            ("[a,", 3, "the file ends within a term"),
            ("9999999999999999999.", 0, "this is no number, or too large a one"),
        ] {
            let problem = parse(text).expect_err(text);
            assert_eq!((problem.title.as_str(), problem.span.expect("a place").start), (told, at), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(parse(&deep).expect_err("too deep").title, "this is nested too deeply");
    }
}
