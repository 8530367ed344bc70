//! The part of Python that a configuration needs: names that are given plain values. Nothing is ever executed.
//!
//! Texts, whole numbers, fractions, `True`, `False`, `None`, dictionaries, lists and tuples. A value that would have to be
//! worked out is [`Kind::Computed`]; any statement but an assignment or an import is refused.

use super::Problem;
use super::scan::{MAX_DEPTH, Scanner};
use super::value::{Kind, Value};

/// The statements of a configuration.
#[derive(Debug, PartialEq)]
pub(super) struct Module {
    /// Names (as [`Kind::Word`]) and what they are given, in the order of the file.
    pub(super) assignments: Vec<(Value, Value)>,
    /// Where something is imported.
    pub(super) imports: Vec<std::ops::Range<usize>>,
}

/// Reads a module.
pub(super) fn parse(text: &str) -> Result<Module, Problem> {
    let mut parser = Parser { scanner: Scanner::new(text), depth: 0 };
    let mut module = Module { assignments: Vec::new(), imports: Vec::new() };
    loop {
        parser.skip_blank(true);
        match parser.scanner.peek() {
            None => return Ok(module),
            Some('"' | '\'') => parser.remark()?,
            Some(_) => parser.statement(&mut module)?,
        }
    }
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    depth: usize,
}

impl Parser<'_> {
    /// Skips blanks and comments; over the ends of lines only where a line goes on, as within brackets.
    fn skip_blank(&mut self, over_lines: bool) {
        loop {
            self.scanner.take_while(|c| c == ' ' || c == '\t' || c == '\r' || (over_lines && c == '\n'));
            if self.scanner.peek() == Some('#') {
                self.scanner.take_while(|c| c != '\n');
            } else if !self.scanner.take("\\\n") && !self.scanner.take("\\\r\n") {
                return;
            }
        }
    }

    /// A text that nobody uses: people write remarks so.
    fn remark(&mut self) -> Result<(), Problem> {
        let start = self.scanner.clone();
        self.value()?;
        if self.at_end_of_statement() { Ok(()) } else { Err(start.problem(NOT_READ)) }
    }

    fn statement(&mut self, module: &mut Module) -> Result<(), Problem> {
        let start = self.scanner.clone();
        let name = self.scanner.take_while(|c| c.is_alphanumeric() || c == '_');
        let name_end = self.scanner.at();
        if name == "import" {
            self.scanner.take_while(|c| c != '\n');
            module.imports.push(start.at()..self.scanner.at());
            return Ok(());
        }
        self.skip_blank(false);
        if name.is_empty()
            || name.starts_with(|c: char| c.is_ascii_digit())
            || self.scanner.rest().starts_with("==")
            || !self.scanner.take("=")
        {
            return Err(start.problem(NOT_READ));
        }
        self.skip_blank(false);
        let value = self.assigned()?;
        module.assignments.push((Value::new(Kind::Word(name.to_owned()), start.at()..name_end), value));
        Ok(())
    }

    /// A plain value; or all that stands up to the end of the statement, when it is none.
    fn assigned(&mut self) -> Result<Value, Problem> {
        let start = self.scanner.clone();
        match self.value() {
            Ok(value) if self.at_end_of_statement() => Ok(value),
            Err(problem) if problem.title == UNFINISHED || problem.title == TOO_DEEP => Err(problem),
            Ok(_) | Err(_) => {
                self.scanner = start.clone();
                self.skip_statement()?;
                Ok(Value::new(Kind::Computed, start.at()..self.scanner.at()))
            }
        }
    }

    fn at_end_of_statement(&mut self) -> bool {
        self.skip_blank(false);
        matches!(self.scanner.peek(), None | Some('\n')) || self.scanner.take(";")
    }

    /// Goes to the end of a statement whose parts do not matter: texts and brackets may go over several lines.
    fn skip_statement(&mut self) -> Result<(), Problem> {
        let mut open = 0_usize;
        loop {
            self.skip_blank(open > 0);
            match self.scanner.peek() {
                None | Some('\n' | ';') => return Ok(()),
                Some('"' | '\'') => {
                    self.text(false)?;
                }
                Some('(' | '[' | '{') => {
                    open += 1;
                    self.scanner.next();
                }
                Some(')' | ']' | '}') => {
                    open = open.saturating_sub(1);
                    self.scanner.next();
                }
                Some(_) => {
                    self.scanner.next();
                }
            }
        }
    }

    fn value(&mut self) -> Result<Value, Problem> {
        if self.depth >= MAX_DEPTH {
            return Err(self.scanner.problem(TOO_DEEP));
        }
        self.depth += 1;
        let start = self.scanner.at();
        let kind = self.kind();
        self.depth -= 1;
        Ok(Value::new(kind?, start..self.scanner.at()))
    }

    fn kind(&mut self) -> Result<Kind, Problem> {
        match self.scanner.peek() {
            Some('[') => self.elements("[", "]").map(|(elements, _)| Kind::List(elements)),
            Some('(') => match self.elements("(", ")")? {
                // Brackets around a value mean nothing, unless there is a comma.
                (mut one, false) if one.len() == 1 => Ok(one.remove(0).kind),
                (elements, _) => Ok(Kind::Tuple(elements)),
            },
            Some('{') => self.dictionary(),
            Some('"' | '\'') => self.texts(),
            Some(c) if c.is_ascii_digit() || c == '-' || c == '.' => self.number(),
            Some(c) if c.is_alphabetic() => self.word(),
            Some(_) => Err(self.scanner.problem(NOT_READ)),
            None => Err(self.scanner.problem(UNFINISHED)),
        }
    }

    /// A constant, or a text with a letter in front that says how to read it.
    fn word(&mut self) -> Result<Kind, Problem> {
        let start = self.scanner.clone();
        match self.scanner.take_while(|c| c.is_alphanumeric() || c == '_') {
            "True" => Ok(Kind::Flag(true)),
            "False" => Ok(Kind::Flag(false)),
            "None" => Ok(Kind::Nothing),
            "u" | "U" if self.scanner.rest().starts_with(['"', '\'']) => self.texts(),
            _ => Err(start.problem(NOT_READ)),
        }
    }

    /// What stands between two brackets, and whether there was a comma.
    fn elements(&mut self, open: &str, close: &str) -> Result<(Vec<Value>, bool), Problem> {
        self.scanner.take(open);
        let (mut elements, mut comma) = (Vec::new(), false);
        loop {
            self.skip_blank(true);
            if self.scanner.take(close) {
                return Ok((elements, comma));
            }
            elements.push(self.value()?);
            self.skip_blank(true);
            if self.scanner.take(",") {
                comma = true;
            } else if !self.scanner.rest().starts_with(close) {
                return Err(self.wrong());
            }
        }
    }

    fn dictionary(&mut self) -> Result<Kind, Problem> {
        self.scanner.take("{");
        let mut entries = Vec::new();
        loop {
            self.skip_blank(true);
            if self.scanner.take("}") {
                return Ok(Kind::Map(entries));
            }
            let key = self.value()?;
            self.skip_blank(true);
            if !self.scanner.take(":") {
                return Err(self.wrong());
            }
            self.skip_blank(true);
            entries.push((key, self.value()?));
            self.skip_blank(true);
            if !self.scanner.take(",") && !self.scanner.rest().starts_with('}') {
                return Err(self.wrong());
            }
        }
    }

    fn wrong(&self) -> Problem {
        self.scanner.problem(if self.scanner.peek().is_none() { UNFINISHED } else { NOT_READ })
    }

    /// Texts that stand side by side are one.
    fn texts(&mut self) -> Result<Kind, Problem> {
        let mut text = self.text(true)?;
        loop {
            let end = self.scanner.clone();
            // Only brackets let a text go on in the next line.
            self.skip_blank(self.depth > 1);
            if !self.scanner.rest().starts_with(['"', '\'']) {
                self.scanner = end;
                return Ok(Kind::Text(text));
            }
            text.push_str(&self.text(true)?);
        }
    }

    /// One text. Where it is only skipped, every form of backslash will do.
    fn text(&mut self, read: bool) -> Result<String, Problem> {
        let start = self.scanner.clone();
        let end =
            ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| self.scanner.take(quote)).unwrap_or("\"");
        let mut text = String::new();
        loop {
            if self.scanner.take(end) {
                return Ok(text);
            }
            match self.scanner.next() {
                None => return Err(start.problem(UNFINISHED)),
                Some('\n') if end.len() == 1 => return Err(start.problem(UNFINISHED)),
                Some('\\') => match self.scanner.next() {
                    Some(c @ ('\\' | '\'' | '"')) => text.push(c),
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('\n') => {}
                    Some(_) if !read => {}
                    Some(_) => return Err(start.problem(NOT_READ)),
                    None => return Err(start.problem(UNFINISHED)),
                },
                Some(c) => text.push(c),
            }
        }
    }

    fn number(&mut self) -> Result<Kind, Problem> {
        let start = self.scanner.clone();
        let sign = if self.scanner.take("-") { "-" } else { "" };
        let digits = self.scanner.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
        let digits = digits.replace('_', "");
        let read = |digits: &str, radix| {
            let number = i64::from_str_radix(&format!("{sign}{digits}"), radix);
            number.map(Kind::Number).map_err(|_| start.problem(NOT_READ))
        };
        match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            // A sign of its own behind the prefix is none of Python's.
            Some(hex) => read(hex, 16),
            None if digits.contains('.') => {
                let fraction = format!("{sign}{digits}").parse();
                fraction.map(Kind::Fraction).map_err(|_| start.problem(NOT_READ))
            }
            // Python refuses leading zeros.
            None if digits.len() > 1 && digits.starts_with('0') => Err(start.problem(NOT_READ)),
            None => read(&digits, 10),
        }
    }
}

const NOT_READ: &str = "only names that are given plain values are read: this would have to be executed";
const UNFINISHED: &str = "the file ends, or the line, within a value";
const TOO_DEEP: &str = "this is nested too deeply";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assigned(text: &str) -> Kind {
        let mut module = parse(text).unwrap_or_else(|problem| panic!("{text}: {problem:?}"));
        assert_eq!(module.assignments.len(), 1, "{text}");
        module.assignments.remove(0).1.kind
    }

    fn text(text: &str) -> Kind {
        Kind::Text(text.to_owned())
    }

    #[test]
    fn plain_values_are_read() {
        for (written, kind) in [
            ("A = 443", Kind::Number(443)),
            ("A = -1 # less", Kind::Number(-1)),
            ("A=0x1_0", Kind::Number(16)),
            ("A = 0.5", Kind::Fraction(0.5)),
            ("A = True\n", Kind::Flag(true)),
            ("A = None;", Kind::Nothing),
            ("A = 'it\\'s' \"\"", text("it's")),
            ("A = \"\"\"two\nlines\"\"\"", text("two\nlines")),
            ("A = u'x'", text("x")),
            ("A = ('one')", text("one")),
            ("A = (\"one\"\n    \"two\")", text("onetwo")),
            ("A = []", Kind::List(Vec::new())),
            ("A = {}", Kind::Map(Vec::new())),
            ("A = 10 * 60", Kind::Computed),
            ("A = int(\"7\", base=8)\n", Kind::Computed),
            ("A = [x\n for x in 'ab']", Kind::Computed),
            ("A = f\"{B}\"", Kind::Computed),
            ("A = B = 7", Kind::Computed),
            ("A = 1,", Kind::Computed),
            ("A = 0123", Kind::Computed),
            ("A = 'one\\x41'", Kind::Computed),
        ] {
            assert_eq!(assigned(written), kind, "{written}");
        }
    }

    #[test]
    fn tables_keep_their_order_and_their_places() {
        let text = "'''remark'''\nimport os\nUSERS = {\n  \"b\": \"x\", # first\n  'a' : 'y',\n}\nP = (1, 2)";
        let module = parse(text).expect("a module");
        assert_eq!(module.imports.len(), 1);
        let Kind::Map(users) = &module.assignments[0].1.kind else { panic!("{module:?}") };
        let names: Vec<_> = users.iter().map(|(key, _)| key.as_word().expect("a text")).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!(text.get(users[1].1.span.clone()), Some("'y'"));
        assert!(module.assignments[1].1.as_tuple().is_some_and(|two| two.len() == 2));
    }

    #[test]
    fn statements_are_refused_with_their_place() {
        for (written, at) in [
            ("A = 1\nif A:\n  B = 2", 6),
            ("def f(): pass", 0),
            ("USERS['a'] = 'b'", 0),
            ("A += 1", 0),
            ("A == 1", 0),
            ("from secrets import *", 0),
            ("'text'.upper()", 0),
        ] {
            let problem = parse(written).expect_err(written);
            assert_eq!(
                (problem.title.as_str(), problem.span.expect("a place").start),
                (NOT_READ, at),
                "{written}"
            );
        }
        for unfinished in ["A = {", "A = 'x", "A = [1,", "A = 'x\ny'", "A ="] {
            assert_eq!(parse(unfinished).expect_err(unfinished).title, UNFINISHED);
        }
        assert_eq!(parse(&format!("A = {}", "[".repeat(100_000))).expect_err("deep").title, TOO_DEEP);
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in "[\\[\\]{}()#\"'=,:;AB0-9._ \\\\\nx*-]{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn nor_is_any_other(text in ".{0,100}") {
            let _ = parse(&text);
        }

        #[test]
        fn texts_and_numbers_are_read_as_they_are_written(words in proptest::collection::vec("[ -~]{0,9}", 0..6), number in any::<i64>()) {
            let quoted: Vec<_> = words
                .iter()
                .map(|word| format!("'{}'", word.replace('\\', "\\\\").replace('\'', "\\'")))
                .collect();
            let kind = assigned(&format!("A = [{number}, {}]", quoted.join(", \n")));
            let Kind::List(read) = kind else { panic!("{kind:?}") };
            let read: Vec<_> = read.into_iter().map(|value| value.kind).collect();
            let expected: Vec<_> =
                std::iter::once(Kind::Number(number)).chain(words.iter().map(|word| text(word))).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
