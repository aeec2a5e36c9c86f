select name, email, status from agents;
