//! Filters of SCIM (RFC 7644, 3.4.2.2): text in, syntax tree out.

use serde_json::Value as Json;

use super::error::ScimError;

/// Conditions of one filter at most.
const MOST: usize = 50;
/// How deep they may lie in each other.
const DEEPEST: usize = 10;

/// A condition on a resource, or on one value of several.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Filter {
    /// Both hold.
    And(Box<Filter>, Box<Filter>),
    /// One of them holds.
    Or(Box<Filter>, Box<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// An attribute has a value.
    Present(Attribute),
    /// An attribute compares so with a value.
    Compare(Attribute, Operator, Json),
    /// One of the values of an attribute fits.
    Has(Attribute, Box<Filter>),
}

/// How values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Contains,
    StartsWith,
    EndsWith,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// The name of an attribute, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    /// Whether it is of the enterprise extension.
    pub enterprise: bool,
    /// Its name; empty for the whole extension.
    pub name: String,
    /// The part of it.
    pub part: Option<String>,
}

/// Where a change goes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Path {
    /// The attribute.
    pub attribute: Attribute,
    /// Which of its values.
    pub filter: Option<Filter>,
}

/// The schema of the extension, in lower case.
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:user";
/// The schemas whose attributes need no prefix.
const CORE: [&str; 2] = ["urn:ietf:params:scim:schemas:core:2.0:user", "urn:ietf:params:scim:schemas:core:2.0:group"];

impl Filter {
    /// Reads a filter.
    pub(super) fn parse(text: &str) -> Result<Self, ScimError> {
        let mut reader = Reader { rest: text, left: MOST, error: ScimError::filter };
        let filter = reader.either(DEEPEST)?;
        reader.end()?;
        Ok(filter)
    }
}

impl Path {
    /// Reads a path.
    pub(super) fn parse(text: &str) -> Result<Self, ScimError> {
        let mut reader = Reader { rest: text, left: MOST, error: ScimError::path };
        let mut attribute = reader.attribute()?;
        let mut filter = None;
        if reader.takes("[") {
            filter = Some(reader.either(DEEPEST)?);
            reader.expect("]")?;
            if reader.takes(".") {
                attribute.part = Some(reader.word()?.to_lowercase());
            }
        }
        reader.end()?;
        Ok(Self { attribute, filter })
    }
}

struct Reader<'t> {
    rest: &'t str,
    /// How many conditions may still come.
    left: usize,
    error: fn(String) -> ScimError,
}

impl<'t> Reader<'t> {
    fn wrong(&self, wanted: &str) -> ScimError {
        let at: String = self.rest.chars().take(30).collect();
        (self.error)(format!("expected {wanted} at \"{at}\""))
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
    }

    fn takes(&mut self, text: &str) -> bool {
        self.blanks();
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, text: &str) -> Result<(), ScimError> {
        if self.takes(text) { Ok(()) } else { Err(self.wrong(text)) }
    }

    fn end(&mut self) -> Result<(), ScimError> {
        self.blanks();
        if self.rest.is_empty() { Ok(()) } else { Err(self.wrong("the end")) }
    }

    /// The next word, which is left where it is.
    fn next_word(&self) -> &'t str {
        let rest = self.rest.trim_start_matches(' ');
        let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '$'))).unwrap_or(rest.len());
        &rest[..end]
    }

    fn word(&mut self) -> Result<&'t str, ScimError> {
        let word = self.next_word();
        if word.is_empty() {
            return Err(self.wrong("a name"));
        }
        self.blanks();
        self.rest = &self.rest[word.len()..];
        Ok(word)
    }

    fn takes_word(&mut self, wanted: &str) -> bool {
        let is_it = self.next_word().eq_ignore_ascii_case(wanted);
        if is_it {
            self.blanks();
            self.rest = &self.rest[wanted.len()..];
        }
        is_it
    }

    fn either(&mut self, deep: usize) -> Result<Filter, ScimError> {
        let mut filter = self.both(deep)?;
        while self.takes_word("or") {
            filter = Filter::Or(Box::new(filter), Box::new(self.both(deep)?));
        }
        Ok(filter)
    }

    fn both(&mut self, deep: usize) -> Result<Filter, ScimError> {
        let mut filter = self.one(deep)?;
        while self.takes_word("and") {
            filter = Filter::And(Box::new(filter), Box::new(self.one(deep)?));
        }
        Ok(filter)
    }

    fn one(&mut self, deep: usize) -> Result<Filter, ScimError> {
        let (Some(deeper), Some(left)) = (deep.checked_sub(1), self.left.checked_sub(1)) else {
            return Err((self.error)(format!("a filter has at most {MOST} conditions, {DEEPEST} deep in each other")));
        };
        self.left = left;
        if self.takes("(") {
            let filter = self.either(deeper)?;
            self.expect(")")?;
            return Ok(filter);
        }
        let negated = self.rest.trim_start_matches(' ').get(3..).is_some_and(|rest| rest.trim_start_matches(' ').starts_with('('));
        if negated && self.takes_word("not") {
            self.expect("(")?;
            let filter = self.either(deeper)?;
            self.expect(")")?;
            return Ok(Filter::Not(Box::new(filter)));
        }
        let attribute = self.attribute()?;
        if self.takes("[") {
            let filter = self.either(deeper)?;
            self.expect("]")?;
            let has = Filter::Has(attribute.clone(), Box::new(filter));
            if !self.rest.starts_with('.') {
                return Ok(has);
            }
            // Beyond the grammar, and asked for all the same: emails[type eq "work"].value eq "…".
            self.expect(".")?;
            let part = Some(self.word()?.to_lowercase());
            let value = self.comparison(Attribute { part, ..attribute })?;
            return Ok(Filter::And(Box::new(has), Box::new(value)));
        }
        self.comparison(attribute)
    }

    fn comparison(&mut self, attribute: Attribute) -> Result<Filter, ScimError> {
        let operator = match self.next_word().to_ascii_lowercase().as_str() {
            "pr" => None,
            "eq" => Some(Operator::Equal),
            "ne" => Some(Operator::NotEqual),
            "co" => Some(Operator::Contains),
            "sw" => Some(Operator::StartsWith),
            "ew" => Some(Operator::EndsWith),
            "gt" => Some(Operator::Greater),
            "ge" => Some(Operator::GreaterOrEqual),
            "lt" => Some(Operator::Less),
            "le" => Some(Operator::LessOrEqual),
            _ => return Err(self.wrong("one of eq, ne, co, sw, ew, gt, ge, lt, le, pr")),
        };
        self.word()?;
        match operator {
            None => Ok(Filter::Present(attribute)),
            Some(operator) => Ok(Filter::Compare(attribute, operator, self.value()?)),
        }
    }

    /// A JSON text, number, truth value or null. Directories also send truth values with a capital.
    fn value(&mut self) -> Result<Json, ScimError> {
        self.blanks();
        for (word, value) in [("true", Json::Bool(true)), ("false", Json::Bool(false)), ("null", Json::Null)] {
            if self.takes_word(word) {
                return Ok(value);
            }
        }
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<Json>();
        match values.next() {
            Some(Ok(value)) if value.is_string() || value.is_number() => {
                self.rest = &self.rest[values.byte_offset()..];
                Ok(value)
            }
            _ => Err(self.wrong("a value: \"text\", a number, true, false or null")),
        }
    }

    fn attribute(&mut self) -> Result<Attribute, ScimError> {
        self.blanks();
        let mut enterprise = false;
        if self.next_word().eq_ignore_ascii_case("urn") {
            let starts = |schema: &str| self.rest.get(..schema.len()).is_some_and(|start| start.eq_ignore_ascii_case(schema));
            let Some(schema) = CORE.into_iter().chain([ENTERPRISE]).find(|schema| starts(schema)) else {
                return Err(self.wrong("a schema that is known"));
            };
            enterprise = schema == ENTERPRISE;
            self.rest = &self.rest[schema.len()..];
            if !self.rest.starts_with(':') && enterprise {
                return Ok(Attribute { enterprise, name: String::new(), part: None });
            }
            self.expect(":")?;
        }
        let name = self.word()?.to_lowercase();
        let part = if self.rest.starts_with('.') && self.takes(".") { Some(self.word()?.to_lowercase()) } else { None };
        Ok(Attribute { enterprise, name, part })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn attribute(name: &str, part: Option<&str>) -> Attribute {
        Attribute { enterprise: false, name: name.to_owned(), part: part.map(str::to_owned) }
    }

    #[test]
    fn what_directories_send_is_read() {
        let is = |name: &str, part, value| Filter::Compare(attribute(name, part), Operator::Equal, value);
        assert_eq!(Filter::parse(r#"userName eq "bea@example.com""#).unwrap(), is("username", None, json!("bea@example.com")));
        assert_eq!(Filter::parse("active eq False").unwrap(), is("active", None, json!(false)));
        let has = Filter::parse(r#"emails[type eq "work" and value eq "a\"b"]"#).unwrap();
        let both = Filter::And(Box::new(is("type", None, json!("work"))), Box::new(is("value", None, json!("a\"b"))));
        assert_eq!(has, Filter::Has(attribute("emails", None), Box::new(both)));
        let path = Path::parse("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value").unwrap();
        assert_eq!((path.attribute.enterprise, path.attribute.name.as_str(), path.attribute.part.as_deref()), (true, "manager", Some("value")));
        let path = Path::parse(r#"emails[type eq "work"].value"#).unwrap();
        assert_eq!((path.attribute.part.as_deref(), path.filter), (Some("value"), Some(is("type", None, json!("work")))));
    }

    #[test]
    fn and_binds_closer_than_or_and_not_needs_parentheses() {
        let text = r#"title pr or displayName co "a" and not (nickName sw "b")"#;
        let Filter::Or(left, right) = Filter::parse(text).unwrap() else { panic!("or is above") };
        assert_eq!(*left, Filter::Present(attribute("title", None)));
        assert!(matches!(*right, Filter::And(_, not) if matches!(*not, Filter::Not(_))));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in ["", "userName", "userName eq", "userName is \"x\"", "(title pr", "title pr)", "emails[type eq \"x\"", "a eq b", "urn:x:y eq 1"] {
            assert!(Filter::parse(text).is_err(), "{text}");
        }
        assert!(Filter::parse(&"(".repeat(1000)).is_err());
        assert!(Filter::parse(&["title pr"; 100].join(" or ")).is_err());
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "\\PC{0,80}") {
            let _ = Filter::parse(&text);
            let _ = Path::parse(&text);
        }

        #[test]
        fn a_value_comes_back(value in "\\PC{0,40}") {
            let text = format!("userName eq {}", json!(value));
            prop_assert_eq!(Filter::parse(&text).unwrap(), Filter::Compare(attribute("username", None), Operator::Equal, json!(value)));
        }
    }
}
