//! Who comes.

use super::events;

events! {
    /// Somebody makes an account.
    SignUp<'a> = "sign_up" {
        /// How, such as `password`.
        method: &'a str,
    }

    /// Somebody logs in. That a login failed is a security event.
    Login<'a> = "login" {
        /// How, such as `password`.
        method: &'a str,
    }
}
