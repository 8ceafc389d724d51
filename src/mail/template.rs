//! Texts with places to fill in: `{{ token }}`. A template sees the values that it is given and nothing else: no file, no other template,
//! and only so much time.

use std::collections::BTreeSet;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, value::Serde};
use serde_json::Value as Json;

use crate::error::{Error, Result};

/// Steps that one template may take: far more than any mail needs, and over in milliseconds.
const FUEL: u64 = 50_000;
/// Bytes that a template may become.
const LONGEST: usize = 256 * 1024;

/// What the text is, and so what is done to the values put into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    Text,
    /// Escaped, so that they are text and nothing else.
    Html,
    /// One line: what would end it, or hide a part of it, becomes a blank.
    Line,
}

/// Fills a template in. What it names and is not there is empty.
pub fn render(source: &str, values: &Json, form: Form) -> Result<String> {
    let rendered = environment().render_named_str(name_of(form), source, Serde(values)).map_err(|error| refusal(&error))?;
    if rendered.len() > LONGEST {
        return Err(Error::invalid("template", format!("it becomes {} bytes; it may become {LONGEST}", rendered.len())));
    }
    Ok(if form == Form::Line { one_line(&rendered) } else { rendered })
}

/// Refuses a template that can't be filled in, or that names something which `sample` does not have.
pub fn check(source: &str, sample: &Json, form: Form) -> Result<()> {
    let environment = environment();
    let template = environment.template_from_named_str(name_of(form), source).map_err(|error| refusal(&error))?;
    let known: BTreeSet<&str> = sample.as_object().into_iter().flat_map(|values| values.keys().map(String::as_str)).collect();
    if let Some(unknown) = template.undeclared_variables(false).into_iter().find(|name| !known.contains(name.as_str())) {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Error::invalid("template", format!("there is no \"{unknown}\"; there are {known}")));
    }
    render(source, sample, form).map(drop)
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|name| if name == name_of(Form::Html) { AutoEscape::Html } else { AutoEscape::None });
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    environment
}

fn name_of(form: Form) -> &'static str {
    match form {
        Form::Text => "text",
        Form::Html => "html",
        Form::Line => "line",
    }
}

fn refusal(error: &minijinja::Error) -> Error {
    let place = error.line().map_or_else(String::new, |line| format!(" (line {line})"));
    let detail = error.detail().map_or_else(String::new, |detail| format!(": {detail}"));
    Error::invalid("template", format!("{}{detail}{place}", error.kind()))
}

fn one_line(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c });
    plain.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_put_in_as_the_form_wants_them() {
        let values = json!({ "name": "<b>\"A\"\r\nBcc: eve@example.org</b>", "data": {} });
        assert_eq!(render("Hi {{ name }}", &values, Form::Line).unwrap(), "Hi <b>\"A\" Bcc: eve@example.org</b>");
        let html = render("<p title=\"{{ name }}\">{{ name }}</p>", &values, Form::Html).unwrap();
        assert!(!html.contains("<b>") && !html.contains("\"A\""), "{html}");
        assert_eq!(render("{{ data.nothing.at_all }}.", &values, Form::Text).unwrap(), ".");
    }

    #[test]
    fn what_can_not_be_filled_in_is_refused() {
        let values = json!({ "token": "1" });
        assert!(check("{{ token }} {% if token %}x{% endif %}", &values, Form::Text).is_ok());
        for wrong in [
            "{{ token",
            "{{ Token }}",
            "{{ .Token }}",
            "{% include \"/etc/passwd\" %}",
            "{{ token|nonsense }}",
            "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
        ] {
            let refused = check(wrong, &values, Form::Html);
            assert!(matches!(refused, Err(Error::Invalid { .. })), "{wrong}: {refused:?}");
        }
    }
}
