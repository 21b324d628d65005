package terminal

func lookAgain(int) {}
