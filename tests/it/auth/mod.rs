//! Sign-in, as clients of its wire see it.

mod sign_up;
