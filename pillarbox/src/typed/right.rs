//! What the rights that know a type have of the right in them: written once for
//! the channels of serde and for those of a fixed size.

/// What a sender and a receiver have, once or often.
macro_rules! of_right {
    ($typed:ident, $right:ident) => {
        impl<T> $typed<T> {
            /// The right itself, without its type.
            ///
            /// # Rights
            /// Moves it.
            pub fn into_right(self) -> $right {
                self.right
            }
        }

        impl<T> std::fmt::Debug for $typed<T> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($typed)).field(&self.right).finish()
            }
        }
    };
}

/// What a sender of many values has.
macro_rules! of_send_right {
    ($typed:ident) => {
        super::right::of_right!($typed, SendRight);

        impl<T> $typed<T> {
            /// The send right itself: to watch the port, to ask how full it is.
            ///
            /// # Rights
            /// Borrows it.
            pub fn right(&self) -> &SendRight {
                &self.right
            }
        }

        impl<T> Clone for $typed<T> {
            fn clone(&self) -> Self {
                $typed::new(self.right.clone())
            }
        }

        /// As for [`SendRight`]: a field of a value of [`crate::channel`].
        impl<T> serde::Serialize for $typed<T> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.right.serialize(serializer)
            }
        }

        /// As for [`SendRight`].
        impl<'de, T> serde::Deserialize<'de> for $typed<T> {
            fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
                SendRight::deserialize(source).map($typed::new)
            }
        }
    };
}

/// What a receiver has.
macro_rules! of_receive_right {
    ($typed:ident) => {
        super::right::of_right!($typed, ReceiveRight);

        impl<T> $typed<T> {
            /// The receive right itself: to be told that there are no senders, to
            /// ask how full the port is.
            ///
            /// # Rights
            /// Borrows it.
            pub fn right(&self) -> &ReceiveRight {
                &self.right
            }

            /// Makes a sender.
            ///
            /// # Rights
            /// Makes a send right.
            ///
            /// # Errors
            /// [`SendFailure::Forked`] in a forked child.
            ///
            /// # Blocking
            /// Never.
            pub fn make_send(&self) -> Result<Sender<T>, SendFailure> {
                self.right.make_send().map(Sender::new)
            }
        }
    };
}

pub(super) use {of_receive_right, of_right, of_send_right};
