//! TOML as plain values.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Problem;
use super::value::{Kind, Value};

/// Reads a file; the first thing that is no TOML is told.
pub(super) fn parse(text: &str) -> Result<Value, Problem> {
    let root = DeTable::parse(text)
        .map_err(|error| Problem::new(error.span(), "this is not TOML").label(error.message()))?;
    let span = root.span();
    Ok(Value::new(table(root.get_ref()), span))
}

fn table(table: &DeTable<'_>) -> Kind {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| (Value::new(Kind::Text(key.get_ref().to_string()), key.span()), whole(value)))
        .collect();
    // In the order of the file, which tables do not keep.
    entries.sort_by_key(|(key, _)| key.span.start);
    Kind::Map(entries)
}

fn whole(value: &Spanned<DeValue<'_>>) -> Value {
    let kind = match value.get_ref() {
        DeValue::String(text) => Kind::Text(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Kind::Computed, Kind::Number)
        }
        DeValue::Float(fraction) => fraction.as_str().parse().map_or(Kind::Computed, Kind::Fraction),
        DeValue::Boolean(flag) => Kind::Flag(*flag),
        DeValue::Datetime(time) => Kind::Text(time.to_string()),
        DeValue::Array(elements) => Kind::List(elements.iter().map(whole).collect()),
        DeValue::Table(entries) => table(entries),
    };
    Value::new(kind, value.span())
}
