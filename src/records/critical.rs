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
    (@ [] [$($target:tt)*] [] name: $name:expr, $($rest:tt)+) => {
        $crate::critical!(@ [name: $name,] [$($target)*] [] $($rest)+)
    };
    (@ [$($name:tt)*] [$($default:tt)*] [] target: $target:expr, $($rest:tt)+) => {
        $crate::critical!(@ [$($name)*] [target: $target,] [] $($rest)+)
    };
    (@ [$($name:tt)*] [$($target:tt)*] [] parent: $parent:expr, $($rest:tt)+) => {
        $crate::critical!(@ [$($name)*] [$($target)*] [parent: $parent,] $($rest)+)
    };
    (@ $name:tt $target:tt $parent:tt { $($fields:tt)* }, $($message:tt)+) => {
        $crate::critical!(@ $name $target $parent {
            message = ::core::format_args!($($message)+), $($fields)*
        })
    };
    (@ $name:tt $target:tt $parent:tt { $($fields:tt)* }) => {
        $crate::critical!(@ $name $target $parent $($fields)*)
    };
    (@ [$($name:tt)*] [$($target:tt)*] [$($parent:tt)*] $($fields:tt)*) => {
        $crate::__private::tracing::event!(
            $($name)* $($target)* $($parent)* $crate::__private::tracing::Level::ERROR,
            { orderscope.critical = true, $($fields)* }
        )
    };
    ($($given:tt)+) => {
        // Named, since `tracing` takes a lone message beside fields only with a target.
        $crate::critical!(@ [] [target: ::core::module_path!(),] [] $($given)+)
    };
}
