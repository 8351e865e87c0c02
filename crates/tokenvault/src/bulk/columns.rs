//! Which columns are replaced.

use vault_domain::DataClass;

use crate::exit::Failure;

/// Columns that one job may replace: the cells of a row go in one call.
const COLUMNS_MAX: usize = 100;
/// What some programs put before the first name.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A column by name, and the class of what stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnRule {
    name: String,
    class: DataClass,
}

impl ColumnRule {
    /// Reads `name=class`; the name may hold an equals sign, the class can't.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, class) = text.rsplit_once('=').ok_or("must be NAME=CLASS")?;
        if name.is_empty() {
            return Err("must name a column before the equals sign".to_owned());
        }
        let class = DataClass::parse(class).map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), class })
    }
}

/// The columns of a file, found by their names.
#[derive(Debug)]
pub(crate) struct Columns {
    /// In the order of the file.
    columns: Vec<Column>,
    width: usize,
}

/// A column that is replaced.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) index: usize,
    pub(crate) name: String,
    pub(crate) class: DataClass,
}

impl Columns {
    /// Finds the columns in the file's row of names.
    pub(crate) fn locate(rules: &[ColumnRule], header: &csv::ByteRecord) -> Result<Self, Failure> {
        if rules.len() > COLUMNS_MAX {
            return Err(Failure::usage(format!("--column can be given at most {COLUMNS_MAX} times")));
        }
        let mut columns: Vec<Column> = rules.iter().map(|rule| find(rule, header)).collect::<Result<_, _>>()?;
        columns.sort_by_key(|column| column.index);
        for (one, next) in columns.iter().zip(columns.iter().skip(1)) {
            if one.index == next.index {
                return Err(Failure::usage(format!("--column {} is given twice", one.name)));
            }
        }
        Ok(Self { columns, width: header.len() })
    }

    /// Cells in every row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter()
    }
}

fn find(rule: &ColumnRule, header: &csv::ByteRecord) -> Result<Column, Failure> {
    let is_it = |(index, name): &(usize, &[u8])| {
        let name = if *index == 0 { name.strip_prefix(BYTE_ORDER_MARK).unwrap_or(name) } else { name };
        name == rule.name.as_bytes()
    };
    let mut found = header.iter().enumerate().filter(is_it);
    match (found.next(), found.next()) {
        (Some((index, _)), None) => Ok(Column { index, name: rule.name.clone(), class: rule.class.clone() }),
        (Some(_), Some(_)) => Err(Failure::usage(format!("the file has two columns named {}", rule.name))),
        // The names that are there would help, but in a file without a row of names they would be values.
        (None, _) => Err(Failure::usage(format!(
            "the file's first row has no column named {}; is it a row of names, and is the delimiter right?",
            rule.name
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locate(rules: &[&str], header: &[&str]) -> Result<Vec<usize>, Failure> {
        let rules: Vec<_> = rules.iter().map(|rule| ColumnRule::parse(rule).unwrap()).collect();
        let header = csv::ByteRecord::from(header.to_vec());
        Columns::locate(&rules, &header).map(|columns| columns.iter().map(|column| column.index).collect())
    }

    #[test]
    fn a_rule_is_a_name_and_a_class() {
        assert!(ColumnRule::parse("card=card_number").is_ok());
        assert_eq!(ColumnRule::parse("a=b=email").unwrap().name, "a=b");
        for bad in ["card", "=email", "card=", "card=E Mail"] {
            assert!(ColumnRule::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn columns_are_found_in_the_order_of_the_file() {
        assert_eq!(locate(&["c=email", "a=email"], &["a", "b", "c"]).unwrap(), [0, 2]);
        assert_eq!(locate(&["a=email"], &["\u{feff}a", "b"]).unwrap(), [0], "behind a byte order mark");
    }

    #[test]
    fn what_is_not_clear_is_refused() {
        assert!(locate(&["d=email"], &["a", "b"]).is_err(), "missing");
        assert!(locate(&["a=email"], &["a", "a"]).is_err(), "two of that name");
        assert!(locate(&["a=email", "a=text"], &["a"]).is_err(), "twice");
    }
}
