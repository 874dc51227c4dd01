//! The severity that `tracing` lacks.

/// Logs at severity `CRITICAL`, above ERROR: OpenTelemetry's 21. The grammar is that of
/// [`tracing::error!`], and so is what other subscribers than orderscope's see of it: an event of
/// level ERROR, with the field `orderscope.critical = true`.
///
/// ```
/// use orderscope::critical;
///
/// let (order_id, amount) = (1024, 23.5);
/// critical!("the ledger is out of balance");
/// critical!(order_id, amount, "payment captured twice");
/// critical!(target: "payments", order_id, cause = ?Some("retry"), "captured {} times", 2);
/// ```
#[macro_export]
macro_rules! critical {
    (@ [$($place:tt)*] name: $name:expr, $($rest:tt)+) => {
        $crate::critical!(@ [$($place)* name: $name,] $($rest)+)
    };
    (@ [$($place:tt)*] target: $target:expr, $($rest:tt)+) => {
        $crate::critical!(@ [$($place)* target: $target,] $($rest)+)
    };
    (@ [$($place:tt)*] parent: $parent:expr, $($rest:tt)+) => {
        $crate::critical!(@ [$($place)* parent: $parent,] $($rest)+)
    };
    (@ [$($place:tt)*] { $($fields:tt)* }, $($message:tt)+) => {
        $crate::critical!(@ [$($place)*] { message = ::core::format_args!($($message)+), $($fields)* })
    };
    (@ [$($place:tt)*] { $($fields:tt)* }) => {
        $crate::__private::tracing::event!(
            $($place)* $crate::__private::tracing::Level::ERROR,
            { orderscope.critical = true, $($fields)* }
        )
    };
    (@ [$($place:tt)*] $($fields:tt)+) => {
        $crate::__private::tracing::event!(
            $($place)* $crate::__private::tracing::Level::ERROR,
            { orderscope.critical = true, $($fields)+ }
        )
    };
    (@ $($unknown:tt)*) => {
        ::core::compile_error!("`critical!` takes what `tracing::error!` takes")
    };
    ($($given:tt)+) => {
        $crate::critical!(@ [] $($given)+)
    };
}
