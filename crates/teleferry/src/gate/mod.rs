//! May a client that proved itself come in? Asked after the proof and before any byte is answered.

mod clock_window;

pub(crate) use clock_window::ClockWindow;
