//! Phone numbers, checked and in the one spelling in which they are compared: E.164 without its plus.

use std::str::FromStr;

use super::error::AuthError;

/// A phone number: 2 to 15 digits, the first of them no zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phone(String);

impl Phone {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a telephone network wants it, with the plus.
    pub fn dialled(&self) -> String {
        format!("+{}", self.0)
    }
}

impl From<Phone> for String {
    fn from(phone: Phone) -> Self {
        phone.0
    }
}

impl FromStr for Phone {
    type Err = AuthError;

    fn from_str(text: &str) -> Result<Self, AuthError> {
        let digits = text.strip_prefix('+').unwrap_or(text).replace(' ', "");
        let is_number = (2..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        if is_number { Ok(Self(digits)) } else { Err(AuthError::validation("Invalid phone number format (E.164 required)")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        for good in ["+49 151 2345 678", "491512345678", "+491512345678"] {
            assert_eq!(good.parse::<Phone>().unwrap().dialled(), "+491512345678", "{good}");
        }
        for bad in ["", "+", "1", "0151234", "+0151", "1234567890123456", "+49-151", "(49)151", "49a", "++49151", "４９１５１"] {
            assert!(bad.parse::<Phone>().is_err(), "{bad}");
        }
    }
}
