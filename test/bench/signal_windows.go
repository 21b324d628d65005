package main

import (
	"errors"
	"os"
)

func askToLock(*os.Process) error { return errors.New("sotto does not run on Windows yet") }
