package discover

// Access returns nil if the user may open the device's node for reading and
// writing, and else an error that says what to do about it.
func (d *Device) Access() error { return nil }
